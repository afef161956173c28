"""An operator's matrix, built column by column from nothing but A x, and what follows from it by numpy in float64."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pellucid.operators import Operator


def dense(op: Operator) -> np.ndarray:
    """(m, D): column j is A e_j."""
    basis = torch.eye(op.size, dtype=torch.float64).reshape(op.size, *op.bound_shape)
    return op.forward(basis).flatten(1).numpy().T.copy()


def draw(shape: tuple[int, ...], seed: int, *, count: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    """(count, *shape) standard normal numbers."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def times(matrix: np.ndarray, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """M x for each flattened item, reshaped, float64."""
    return torch.from_numpy(x.double().flatten(1).numpy() @ matrix.T).reshape(len(x), *shape)


def distance(a: Tensor, b: Tensor) -> float:
    """|a - b| / |b|, over the whole batch; |a| where b is zero."""
    return float((a.double() - b.double()).norm() / (b.double().norm() if bool(b.any()) else 1.0))
