r"""Chosen rows of an orthonormal transform: what compressed sensing and Fourier sampling have in common.

With W an orthonormal n x n matrix on the places of each channel and R the choice of m of its rows,

    A = R W,    A A' = I,    A+ = A' = W' R',    V = W',    S = R'R,                                                (1)

so A+ costs as much as W. In a picture (C, H, W) each channel is measured alike, by the same rows: n = H W, and y is
(C, m).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.tensors import pad
from .base import Operator, SingularSystem
from .patterns import places


@dataclass(frozen=True, eq=False)
class Rows(Operator):
    """An operator of the form (1): (D,) to (m,), (C, L) or (C, H, W) to (C, m); a subclass says which rows of what."""

    @abstractmethod
    def transform(self, x: Tensor) -> Tensor:
        """W x for each channel, (*, n) to (*, n)."""

    @abstractmethod
    def inverse(self, c: Tensor) -> Tensor:
        """W' c for each channel, (*, n) to (*, n)."""

    @abstractmethod
    def choose(self) -> Tensor:
        """The indices of the rows that are measured, (m,) int64, all different."""

    def fit(self) -> None:
        self.rows  # noqa: B018 - choosing raises where an option is wrong

    @cached_property
    def rows(self) -> Tensor:
        """`choose()`, made once."""
        return self.choose()

    @property
    def length(self) -> int:
        """n, the number of places."""
        return math.prod(places(self.bound_shape))

    @property
    def share(self) -> float:
        """m / n."""
        return len(self.rows) / self.length

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        shape = self.bound_shape
        return (*shape[: len(shape) - len(places(shape))], len(self.rows))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(len(x), *self.out_shape[:-1], self.length)
        return self.transform(flat).index_select(-1, self.rows.to(x.device))

    def adjoint(self, y: Tensor) -> Tensor:
        return self.inverse(self._placed(y)).reshape(len(y), *self.bound_shape)

    def pinv(self, y: Tensor) -> Tensor:
        return self.adjoint(y)

    def gram_solve(
        self,
        y: Tensor,
        *,
        noise_variance: float | Tensor,
        scale: float | Tensor = 1.0,
        tolerance: float | None = None,
    ) -> Tensor:
        """As in `Operator`; here A A' = I, so it is a division."""
        total = torch.as_tensor(scale, dtype=y.dtype, device=y.device) + noise_variance
        return y / pad(torch.where(total > 0, total, torch.inf), y)

    def singular(self) -> SingularSystem:
        lead, n = self.out_shape[:-1], self.length
        values = torch.zeros(n, dtype=torch.float64).index_fill(0, self.rows.cpu(), 1.0)
        return SingularSystem(
            values=values.broadcast_to(*lead, n).flatten(),
            v=lambda x: self.transform(x.reshape(len(x), *lead, n)).flatten(1),
            v_inverse=lambda c: self.inverse(c.reshape(-1, *lead, n)).reshape(-1, *self.bound_shape),
            u=lambda y: self._placed(y).flatten(1),
            u_inverse=lambda c: c.reshape(-1, *lead, n).index_select(-1, self.rows.to(c.device)),
        )

    def _placed(self, y: Tensor) -> Tensor:
        """R' y: the measurements at their rows, zeros elsewhere, (*, m) to (*, n)."""
        full = y.new_zeros(*y.shape[:-1], self.length)
        return full.index_copy(-1, self.rows.to(y.device), y)


def how_many(ratio: float, n: int) -> int:
    """Measurements of n values: round(ratio n), but at least one.

    Raises:
        UserError: a ratio that is not above 0 and at most 1.
    """
    if not 0 < ratio <= 1:
        raise UserError(f"the ratio of measurements to values is above 0 and at most 1; got {ratio}")
    return max(1, round(ratio * n))
