r"""Total variation: of all x that explain y, the one of least total change from place to place.

    TV(x) = sum over places of the length of (D x), D the differences to the next place along each axis            (1)

with the length taken over axes and channels together, so that edges have any direction and lie at one place in all
channels (Rudin, Osher and Fatemi, "Nonlinear Total Variation Based Noise Removal Algorithms", 1992; Blomgren and Chan,
"Color TV", 1998, for channels).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..solvers.base import Callback, Solver
from .base import Observation, Restorer
from .primal_dual import Regulariser, Scheme


@dataclass(frozen=True)
class TotalVariation(Restorer):
    """min |A x - y|^2/2 + weight TV(x); without a weight, min TV(x) where |A x - y| <= noise sqrt(m).

    Items are vectors (D,), whose values follow one another, signals (C, L) or pictures (C, H, W).

    Attributes:
        weight: None for the discrepancy principle; see `primal_dual`.
        iterations, tolerance: of the primal-dual scheme.

    Raises:
        UserError: a weight that is not positive, or bad iterations or tolerance.
    """

    weight: float | None = None
    iterations: int = 500
    tolerance: float = 1e-5
    posterior: ClassVar[bool] = False
    learned: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.weight is not None and not self.weight > 0:
            raise UserError(f"weight must be positive, got {self.weight}")
        Scheme(self.iterations, self.tolerance)

    def run(
        self,
        denoiser: Denoiser,
        observation: Observation,
        *,
        stream: Stream,
        times: Tensor,
        solver: Solver,
        callback: Callback | None = None,
        **cond: Any,
    ) -> Tensor:
        self.check(observation)
        axes = max(1, len(observation.operator.bound_shape) - 1)
        regulariser = Regulariser(
            lambda x: differences(x, axes), lambda d: back(d, axes), lambda d: _clip(d, axes), 2 * math.sqrt(axes)
        )
        return Scheme(self.iterations, self.tolerance).solve(observation, regulariser, weight=self.weight)


def differences(x: Tensor, axes: int) -> Tensor:
    """D x over the last `axes` axes, (B, *) to (B, axes, *); zero at the far border."""
    parts = []
    for axis in range(-axes, 0):
        last = x.narrow(axis, x.shape[axis] - 1, 1)
        parts.append(torch.diff(x, dim=axis, append=last))
    return torch.stack(parts, 1)


def back(d: Tensor, axes: int) -> Tensor:
    """D' d, (B, axes, *) to (B, *)."""
    total = torch.zeros_like(d[:, 0])
    for i, axis in enumerate(range(-axes, 0)):
        inner = d[:, i].narrow(axis, 0, d.shape[axis] - 1)
        zero = torch.zeros_like(d[:, i].narrow(axis, 0, 1))
        total = total - torch.diff(inner, dim=axis, prepend=zero, append=zero)
    return total


def _clip(d: Tensor, axes: int) -> Tensor:
    # Lengths over the difference axis and, where there is one, the channels' axis.
    over = (1, 2) if d.ndim - 2 > axes else (1,)
    return d / d.square().sum(over, keepdim=True).sqrt().clamp_min(1)
