r"""Operators that change nothing, or only cut: the identity, the identity seen through rounding, and a window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from ..foundations.errors import UserError
from .base import Operator, SingularSystem


@dataclass(frozen=True, eq=False)
class Identity(Operator):
    """A = I. Restoring with it is denoising."""

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return self.bound_shape

    def forward(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        return y

    def pinv(self, y: Tensor) -> Tensor:
        return y

    def gram_diagonal(self) -> Tensor:
        return torch.ones(())

    def singular(self) -> SingularSystem:
        shape = self.bound_shape
        return SingularSystem(
            values=torch.ones(self.size),
            v=lambda x: x.flatten(1),
            v_inverse=lambda c: c.reshape(-1, *shape),
            u=lambda y: y.flatten(1),
            u_inverse=lambda c: c.reshape(-1, *shape),
        )


@dataclass(frozen=True, eq=False)
class Quantise(Identity):
    """The identity, for observations that were rounded to a few levels.

    Rounding is not linear, so it is not the operator: the operator is A = I, and the rounding is taken for noise. An
    error spread evenly over one step has the standard deviation step / sqrt(12), which `noise` offers as the level for
    the restoration; `observe` rounds.

    Attributes:
        levels: how many, evenly from `low` to `high`; at least 2. Pictures of 8 bits have 256.
        low, high: the range of the data.

    Raises:
        UserError: fewer than two levels, or an empty range.

    Source: Bennett, "Spectra of Quantized Signals", 1948, section 3.

    >>> seen = Quantise(levels=3)
    >>> seen.observe(torch.tensor([[-0.8, 0.1, 0.6, 7.0]]))
    tensor([[-1.,  0.,  1.,  1.]])
    >>> round(seen.noise, 4)
    0.2887
    """

    levels: int = 256
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.levels < 2 or not self.low < self.high:
            raise UserError(
                f"rounding needs at least 2 levels over a range that is not empty; got {self.levels} levels from "
                f"{self.low:g} to {self.high:g}"
            )

    @property
    def step(self) -> float:
        """The distance between levels."""
        return (self.high - self.low) / (self.levels - 1)

    @property
    def noise(self) -> float:
        """The standard deviation of the rounding error, step / sqrt(12), in the data's scale."""
        return self.step / math.sqrt(12)

    def observe(self, x: Tensor) -> Tensor:
        """x rounded to the nearest level, of the same shape; beyond the range, to its end."""
        steps = ((x - self.low) / self.step).round().clamp(0, self.levels - 1)
        return steps * self.step + self.low


@dataclass(frozen=True, eq=False)
class Crop(Operator):
    """Sees a window only: `Crop((top, left), (height, width))` of a picture, `Crop((start,), (length,))` of a signal.

    The window counts along the last axes, as many as are given. Undoing it is painting beyond the border.

    Attributes:
        corner: where the window begins along each axis.
        extent: how long it is along each axis.

    Raises:
        UserError: other than one start for each length, a negative start, an empty window; at `on`, a window that
            reaches beyond the items.

    >>> Crop((1,), (2,))(torch.tensor([[5.0, 6.0, 7.0, 8.0]]))
    tensor([[6., 7.]])
    """

    corner: Sequence[int]
    extent: Sequence[int]

    def __post_init__(self) -> None:
        if len(self.corner) != len(self.extent) or not self.extent:
            raise UserError(
                f"a window has one start for each length, such as Crop((top, left), (height, width)); got "
                f"{self.corner} and {self.extent}"
            )
        if min(self.corner) < 0 or min(self.extent) < 1:
            raise UserError(
                f"a window starts at 0 or later and is not empty; got the corner {self.corner} and the extent "
                f"{self.extent}"
            )

    def fit(self) -> None:
        shape, axes = self.bound_shape, len(self.extent)
        tail = shape[len(shape) - axes :]
        ends = [start + length for start, length in zip(self.corner, self.extent, strict=True)]
        if axes > len(shape) or any(end > length for end, length in zip(ends, tail, strict=True)):
            raise UserError(
                f"the window from {tuple(self.corner)} to {tuple(ends)} does not lie within items of shape {shape}, "
                f"whose last axes are {tail}"
            )

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        shape = self.bound_shape
        return (*shape[: len(shape) - len(self.extent)], *self.extent)

    def forward(self, x: Tensor) -> Tensor:
        for axis, start, length in zip(range(-len(self.extent), 0), self.corner, self.extent, strict=True):
            x = x.narrow(axis, start, length)
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        shape = self.bound_shape
        margins: list[int] = []  # torch wants those of the last axis first
        for length, start, extent in zip(reversed(shape), reversed(self.corner), reversed(self.extent), strict=False):
            margins += [start, length - start - extent]
        return functional.pad(y, margins)

    def pinv(self, y: Tensor) -> Tensor:
        return self.adjoint(y)

    def gram_diagonal(self) -> Tensor:
        return torch.ones(())

    def singular(self) -> SingularSystem:
        shape = self.bound_shape
        return SingularSystem(
            values=self.adjoint(torch.ones(1, *self.out_shape)).flatten(),
            v=lambda x: x.flatten(1),
            v_inverse=lambda c: c.reshape(-1, *shape),
            u=lambda y: self.adjoint(y).flatten(1),
            u_inverse=lambda c: self.forward(c.reshape(-1, *shape)),
        )
