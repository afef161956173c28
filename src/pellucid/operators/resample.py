r"""Down-sampling: fewer values along each axis of places. Super-resolution undoes it.

Average pooling has its singular system in closed form. A block of n values (n = factor, or factor^2 in pictures) is
seen only through its mean, x -> (1/n) 1'x = n^(-1/2) u'x with the unit vector u = n^(-1/2) 1: one singular value
n^(-1/2) for each block, and n - 1 that are zero. An orthonormal basis whose first vector is u is the reflection

    H = I - 2 w w' / w'w,    w = e_1 - u,    H = H' = H^-1,    H e_1 = u                                            (1)

(Householder, "Unitary Triangularization of a Nonsymmetric Matrix", 1958), so V' x costs O(D).

Bicubic down-sampling is a matrix for each axis; see `separable`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .base import Operator, SingularSystem
from .patterns import places
from .separable import Axes, AxisWise


@dataclass(frozen=True, eq=False)
class Downsample(Operator):
    """Average pooling: the mean of each block of `factor` values, or of factor x factor pixels.

    (D,) to (D / factor,), (C, L) to (C, L / factor), (C, H, W) to (C, H / factor, W / factor).

    Attributes:
        factor: at least 1; divides every axis of places.

    Raises:
        UserError: a factor below 1; at `on`, one that does not divide.

    >>> Downsample(2)(torch.tensor([[1.0, 3.0, 5.0, 6.0]]))
    tensor([[2.0000, 5.5000]])
    """

    factor: int

    def __post_init__(self) -> None:
        _whole(self.factor)

    def fit(self) -> None:
        _divides(self.factor, self.bound_shape)

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        shape = self.bound_shape
        sizes = places(shape)
        return (*shape[: len(shape) - len(sizes)], *(length // self.factor for length in sizes))

    @property
    def block(self) -> int:
        """n of the module's formula: how many values are averaged."""
        return int(self.factor ** len(places(self.bound_shape)))

    def forward(self, x: Tensor) -> Tensor:
        return self._blocks(x).mean(-1).reshape(-1, *self.out_shape)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._repeat(y) / self.block

    def pinv(self, y: Tensor) -> Tensor:
        return self._repeat(y)

    def _repeat(self, y: Tensor) -> Tensor:
        """Each mean in all places of its block."""
        for axis in range(-len(places(self.bound_shape)), 0):
            y = y.repeat_interleave(self.factor, axis)
        return y

    def gram_diagonal(self) -> Tensor:
        return torch.tensor(1 / self.block, dtype=torch.float64)

    def singular(self) -> SingularSystem:
        n, num_blocks = self.block, self.size // self.block
        values = torch.zeros(num_blocks, n, dtype=torch.float64)
        values[:, 0] = n**-0.5
        first = n**-0.5  # of u

        def reflect(blocks: Tensor) -> Tensor:
            """H of equation (1), where w = (1 - first, -first, ..., -first) and w'w = 2 (1 - first)."""
            if n == 1:
                return blocks
            amount = (blocks[..., :1] - first * blocks.sum(-1, keepdim=True)) / (1 - first)
            reflected = blocks + first * amount
            reflected[..., 0] -= amount[..., 0]
            return reflected

        def spread(y: Tensor) -> Tensor:
            blocks = y.new_zeros(len(y), num_blocks, n)
            blocks[..., 0] = y.flatten(1)
            return blocks.flatten(1)

        return SingularSystem(
            values=values.flatten(),
            v=lambda x: reflect(self._blocks(x)).flatten(1),
            v_inverse=lambda c: self._joined(reflect(c.reshape(-1, num_blocks, n))),
            u=spread,
            u_inverse=lambda c: c.reshape(-1, num_blocks, n)[..., 0].reshape(-1, *self.out_shape),
        )

    def _blocks(self, x: Tensor) -> Tensor:
        """(B, *shape) to (B, number of blocks, n)."""
        sizes, f = places(self.bound_shape), self.factor
        split = x.reshape(len(x), -1, *(part for length in sizes for part in (length // f, f)))
        within = [3 + 2 * i for i in range(len(sizes))]
        across = [2 + 2 * i for i in range(len(sizes))]
        return split.permute(0, 1, *across, *within).reshape(len(x), -1, self.block)

    def _joined(self, blocks: Tensor) -> Tensor:
        """(B, number of blocks, n) to (B, *shape): back from `_blocks`."""
        sizes, f = places(self.bound_shape), self.factor
        split = blocks.reshape(len(blocks), -1, *(length // f for length in sizes), *(f for _ in sizes))
        order = [axis for i in range(len(sizes)) for axis in (2 + i, 2 + len(sizes) + i)]
        return split.permute(0, 1, *order).reshape(len(blocks), *self.bound_shape)


@dataclass(frozen=True, eq=False)
class Bicubic(AxisWise):
    """Down-sampling by the cubic kernel, stretched by the factor so that nothing aliases.

    Along each axis y_i = sum_j k((j - c_i) / factor) x_j / sum_j k((j - c_i) / factor) with centres
    c_i = (i + 1/2) factor - 1/2 and

        k(r) = 3/2 |r|^3 - 5/2 |r|^2 + 1                    for |r| <= 1,
               -1/2 |r|^3 + 5/2 |r|^2 - 4 |r| + 2           for 1 < |r| < 2,    0 elsewhere.

    Beyond the border the values are mirrored, the border value included: ... x_1 x_0 | x_0 x_1 ... Shapes are as for
    `Downsample`.

    Attributes:
        factor: at least 1; divides every axis of places.

    Raises:
        UserError: a factor below 1; at `on`, one that does not divide.

    Source: Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981, eq. 15 (a = -1/2).
    """

    factor: int

    def __post_init__(self) -> None:
        _whole(self.factor)

    def fit(self) -> None:
        _divides(self.factor, self.bound_shape)

    def matrices(self) -> Axes:
        sizes = places(self.bound_shape)
        made = {length: bicubic_matrix(length, self.factor) for length in set(sizes)}
        return tuple(made[length] for length in sizes)


def bicubic_matrix(length: int, factor: int) -> Tensor:
    """The matrix of `Bicubic` along one axis: (length / factor, length), float64, its rows summing to one."""
    rows = length // factor
    centre = (torch.arange(rows, dtype=torch.float64) + 0.5) * factor - 0.5
    first = (centre - 2 * factor).floor()
    taps = first[:, None] + torch.arange(4 * factor + 2)
    r = ((taps - centre[:, None]) / factor).abs()
    near = 1.5 * r**3 - 2.5 * r**2 + 1
    far = -0.5 * r**3 + 2.5 * r**2 - 4 * r + 2
    weights = torch.where(r <= 1, near, torch.where(r < 2, far, 0))
    weights = weights / weights.sum(1, keepdim=True)
    around = taps.long() % (2 * length)  # mirrored at both ends, values repeat with twice the length
    index = torch.where(around < length, around, 2 * length - 1 - around)
    return torch.zeros(rows, length, dtype=torch.float64).scatter_add_(1, index, weights)


def _whole(factor: int) -> None:
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 1:
        raise UserError(f"the factor of down-sampling is a whole number, at least 1; got {factor!r}")


def _divides(factor: int, shape: tuple[int, ...]) -> None:
    sizes = places(shape)
    if any(length % factor for length in sizes):
        common = math.gcd(*sizes)
        allowed = ", ".join(str(f) for f in range(2, common + 1) if common % f == 0) or "1 alone"
        cut = "x".join(str(length - length % factor) for length in sizes)
        raise UserError(
            f"down-sampling by {factor} needs lengths that {factor} divides, but the items are "
            f"{'x'.join(map(str, sizes))}; cut them to {cut}, or use a factor that divides: {allowed}"
        )
