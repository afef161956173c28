r"""Parallel-beam tomography: a picture is seen as the sums along straight rays, at several angles.

A pixel is a unit square of constant value and a detector a strip of unit width; an entry of A is the area that the two
share, so nothing is sampled and every pixel that the detectors see counts with its whole weight 1 at each angle. Seen
at angle a, a unit square has the profile of two boxes folded together, of widths |cos a| and |sin a|; the share of it
below s is therefore, with p = (|cos a| + |sin a|)/2, q = (|cos a| - |sin a|)/2 and r(u) = max(u, 0)^2 / 2,

    F(s) = (r(s + p) - r(s + q) - r(s - q) + r(s - p)) / |cos a sin a|,                                             (1)

and the entry is F(d + 1/2 - c) - F(d - 1/2 - c) for a detector at d and a pixel whose centre projects to c
(area weights: Kak and Slaney, "Principles of Computerized Tomographic Imaging", 1988, section 7.1).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .base import Operator

_MOST = 1 << 26  # entries of the sparse matrix: about one gigabyte with its transpose


@dataclass(frozen=True, eq=False)
class Tomography(Operator):
    """The sinogram of each channel: (C, H, W) to (C, angles, detectors), divided by the longer side of the picture.

    So y is in the data's own scale: a picture of ones gives at most sqrt(2). Row i of a sinogram is the projection on
    the direction (cos a_i, -sin a_i) in (right, down): at 0 degrees the rays run along the columns. Angles count
    anticlockwise. A is a sparse matrix, made once for a shape, and A' its transpose.

    A+ is found by conjugate gradients (`solve`), until |A'(y - A x)| <= 1e-6 |A' y|, 1e-12 in float64, or after 500
    products: with many angles the finest detail is nearly lost, and A+ y is then smoother than the exact solution.

    Attributes:
        angles: how many, evenly over the half circle from 0; or the angles themselves, in degrees.
        detectors: how many strips, one pixel wide and centred; by default as many as see the whole picture.

    Raises:
        UserError: no angles, or not finite; fewer than one detector; at `on`, items that are no pictures, or a matrix
            that would not fit in memory.

    >>> Tomography(12)(torch.ones(1, 1, 16, 16)).shape
    torch.Size([1, 1, 12, 23])
    """

    angles: int | Sequence[float] = 60
    detectors: int | None = None

    def __post_init__(self) -> None:
        given = self.degrees
        if not given or not all(math.isfinite(a) for a in given):
            raise UserError(f"tomography takes at least one angle, all finite, in degrees; got {self.angles!r}")
        if self.detectors is not None and self.detectors < 1:
            raise UserError(f"tomography takes at least one detector, got {self.detectors}")

    @property
    def degrees(self) -> tuple[float, ...]:
        """The angles."""
        if isinstance(self.angles, int):
            return tuple(180 * i / self.angles for i in range(self.angles))
        return tuple(float(a) for a in self.angles)

    def fit(self) -> None:
        shape = self.bound_shape
        if len(shape) != 3:
            raise UserError(f"tomography is for pictures (C, H, W); items here have the shape {shape}")
        entries = 3 * len(self.degrees) * shape[1] * shape[2]
        if entries > _MOST:
            raise UserError(
                f"tomography of {shape[1]}x{shape[2]} pixels at {len(self.degrees)} angles has up to {entries} "
                f"weights, and {_MOST} are allowed: use fewer angles or smaller pictures"
            )

    @cached_property
    def strips(self) -> int:
        """The number of detectors."""
        return self.detectors or math.ceil(math.hypot(*self.bound_shape[1:]))

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return (self.bound_shape[0], len(self.degrees), self.strips)

    @cached_property
    def matrix(self) -> Tensor:
        """A of one channel, (angles * detectors, H * W), sparse, float64."""
        return projection_matrix(self.bound_shape[1:], self.degrees, self.strips) / max(self.bound_shape[1:])

    @cached_property
    def _rows(self) -> dict[torch.dtype, tuple[Tensor, Tensor]]:
        return {}

    def _pair(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """A and A' by compressed rows in the type of the data, made once."""
        if like.dtype not in self._rows:
            matrix = self.matrix.to(like.dtype)
            self._rows[like.dtype] = (_compressed(matrix), _compressed(matrix.mT.coalesce()))
        forward, backward = self._rows[like.dtype]
        return forward.to(like.device), backward.to(like.device)

    def forward(self, x: Tensor) -> Tensor:
        a, transposed = self._pair(x)
        return _Product.apply(x.reshape(-1, a.shape[1]), a, transposed).reshape(len(x), *self.out_shape)

    def adjoint(self, y: Tensor) -> Tensor:
        a, transposed = self._pair(y)
        return _Product.apply(y.reshape(-1, a.shape[0]), transposed, a).reshape(len(y), *self.bound_shape)


class _Product(torch.autograd.Function):
    """x -> M x for each row of x, with M' given: sparse products have no gradient of their own that is as fast."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.pair = (transposed, matrix)
        return (matrix @ x.mT.contiguous()).mT

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _Product.apply(grads[0], *ctx.pair), None, None


def projection_matrix(sizes: Sequence[int], degrees: Sequence[float], strips: int) -> Tensor:
    """The areas that strips and pixels share: (angles * strips, H * W), sparse, float64.

    Args:
        sizes: (H, W).
        degrees: of the angles.
        strips: detectors of unit width, centred on the picture's centre.
    """
    height, width = sizes
    turn = torch.tensor(degrees, dtype=torch.float64)[:, None].deg2rad()
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in (height, width)), indexing="ij")
    centre = turn.cos() * x.flatten() - turn.sin() * y.flatten()  # (angles, pixels)
    first = (centre + (strips - 1) / 2).round().long() - 1
    rows, columns, areas = [], [], []
    for strip in (first, first + 1, first + 2):  # a pixel is at most sqrt(2) wide, so it meets no more than three
        offset = strip - (strips - 1) / 2 - centre
        area = _below(offset + 0.5, turn) - _below(offset - 0.5, turn)
        angle, pixel = ((area > 1e-12) & (strip >= 0) & (strip < strips)).nonzero(as_tuple=True)
        rows.append(angle * strips + strip[angle, pixel])
        columns.append(pixel)
        areas.append(area[angle, pixel])
    index = torch.stack([torch.cat(rows), torch.cat(columns)])
    size = (len(degrees) * strips, height * width)
    return torch.sparse_coo_tensor(index, torch.cat(areas), size, check_invariants=False).coalesce()


def _below(s: Tensor, turn: Tensor) -> Tensor:
    """F of equation (1): the share of a unit square, centred at 0, that is seen below s."""
    long, short = turn.cos().abs(), turn.sin().abs()
    long, short = torch.maximum(long, short), torch.minimum(long, short)
    # Nearly along an axis the profile is one box, to the accuracy of its other side.
    box = (s / long + 0.5).clamp(0, 1)
    p, q, product = (long + short) / 2, (long - short) / 2, long * short

    def ramp(u: Tensor) -> Tensor:
        return u.clamp(min=0).square() / 2

    sloped = (ramp(s + p) - ramp(s + q) - ramp(s - q) + ramp(s - p)) / product.clamp(min=1e-8)
    return torch.where(short < 1e-6, box, sloped.clamp(0, 1))


def _compressed(matrix: Tensor) -> Tensor:
    with warnings.catch_warnings():  # torch calls this layout a beta at its first use
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return matrix.to_sparse_csr()
