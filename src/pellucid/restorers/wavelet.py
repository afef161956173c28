r"""Wavelet sparsity: of all x that explain y, the one whose wavelet details are smallest in sum.

The transform is Daubechies' orthonormal one (Daubechies, "Ten Lectures on Wavelets", 1992, section 6.1) with periodic
borders. Its low-pass filter h of 2 N taps is the shortest with N vanishing moments,

    sum_k h_k z^k = c (1 + z)^N prod_i (z - z_i),   P(y) = sum_{k<N} binom(N - 1 + k, k) y^k,                      (1)

the z_i those inside the unit circle of the two that y = (2 - z - 1/z)/4 gives for each root of P, and the high-pass
filter is g_k = (-1)^k h_(2N-1-k). An odd axis keeps its last value as it is, so that every size has its transform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..solvers.base import Callback, Solver
from .base import Observation, Restorer
from .primal_dual import Regulariser, Scheme


@dataclass(frozen=True)
class Wavelet(Restorer):
    """min |A x - y|^2/2 + weight |W x|_1; without a weight, min |W x|_1 where |A x - y| <= noise sqrt(m). W gives the
    details of all levels; the coarse part that is left is free.

    Items are vectors (D,), whose values follow one another, signals (C, L) or pictures (C, H, W).

    Attributes:
        weight: None for the discrepancy principle; see `primal_dual`.
        moments: N of equation (1); 1 is Haar's wavelet.
        levels: None for as many as leave four to seven coarse values on the shortest axis.
        shifts: how many copies of x, each shifted by one place along every axis, share the sum: an edge then looks
            alike wherever it lies (Coifman and Donoho, "Translation-Invariant De-Noising", 1995).
        iterations, tolerance: of the primal-dual scheme.

    Raises:
        UserError: a weight that is not positive, moments outside 1 to 10, levels or shifts below 1, or bad iterations
            or tolerance.
    """

    weight: float | None = None
    moments: int = 4
    levels: int | None = None
    shifts: int = 4
    iterations: int = 500
    tolerance: float = 1e-5
    posterior: ClassVar[bool] = False
    learned: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.weight is not None and not self.weight > 0:
            raise UserError(f"weight must be positive, got {self.weight}")
        if not (1 <= self.moments <= 10 and (self.levels is None or self.levels >= 1) and self.shifts >= 1):
            raise UserError(
                f"wavelets have 1 to 10 moments and at least 1 level and 1 shift, got moments {self.moments}, levels "
                f"{self.levels} and shifts {self.shifts}"
            )
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
        shape = observation.operator.bound_shape
        axes = tuple(range(-max(1, len(shape) - 1), 0))
        levels = self.levels or max(1, int(math.log2(min(shape[axis] for axis in axes))) - 2)
        detail = _details(shape, axes, levels)
        share = 1 / math.sqrt(self.shifts)

        def analysis(x: Tensor) -> Tensor:
            return torch.stack(
                [
                    share * transform(x.roll([i] * len(axes), axes), axes, levels, self.moments)
                    for i in range(self.shifts)
                ],
                1,
            )

        def adjoint(c: Tensor) -> Tensor:
            back = torch.zeros_like(c[:, 0])
            for i in range(self.shifts):
                back += share * inverse(c[:, i], axes, levels, self.moments).roll([-i] * len(axes), axes)
            return back

        # A copy counts for its share of the sum: with weights 1/k each, k copies have the sum of one on average.
        def clip(c: Tensor) -> Tensor:
            return c.clamp(-share, share) * detail.to(c)

        regulariser = Regulariser(analysis, adjoint, clip, 1.0)
        return Scheme(self.iterations, self.tolerance).solve(observation, regulariser, weight=self.weight)


def transform(x: Tensor, axes: tuple[int, ...], levels: int, moments: int) -> Tensor:
    """The orthonormal wavelet transform over some axes, (B, *) to (B, *): the coarse part first, then details."""
    x = x.clone()
    for sizes in _blocks([x.shape[axis] for axis in axes], levels):
        block = _corner(x, axes, sizes)
        for axis, size in zip(axes, sizes, strict=True):
            block.copy_(_along(block, axis, _matrix(size, moments).to(x)))
    return x


def inverse(c: Tensor, axes: tuple[int, ...], levels: int, moments: int) -> Tensor:
    """The transpose of `transform`, which is its inverse."""
    c = c.clone()
    for sizes in reversed(_blocks([c.shape[axis] for axis in axes], levels)):
        block = _corner(c, axes, sizes)
        for axis, size in zip(axes, sizes, strict=True):
            block.copy_(_along(block, axis, _matrix(size, moments).to(c).T))
    return c


def daubechies(moments: int) -> NDArray[np.float64]:
    """The low-pass filter of equation (1), (2 N,), of sum sqrt(2).

    >>> (daubechies(1) * 2**0.5).round(12).tolist()
    [1.0, 1.0]
    """
    binomials = [math.comb(moments - 1 + k, k) for k in range(moments)]
    roots = np.polynomial.polynomial.polyroots(binomials) if moments > 1 else np.zeros(0)
    filter_ = np.ones(1, dtype=complex)
    for _ in range(moments):
        filter_ = np.convolve(filter_, [1, 1])
    for root in roots:
        middle = 1 - 2 * root
        pair = middle + np.array([1, -1]) * np.sqrt(complex(middle**2 - 1))
        filter_ = np.convolve(filter_, [-pair[np.abs(pair).argmin()], 1])
    low: NDArray[np.float64] = filter_.real
    return low * (math.sqrt(2) / low.sum())


@lru_cache(maxsize=64)
def _matrix(size: int, moments: int) -> Tensor:
    """One level along one axis, (size, size) float64, orthonormal: rows of averages, then rows of details."""
    low = daubechies(moments)
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    half, even = size // 2, size - size % 2
    rows = np.zeros((size, size))
    for k in range(half):
        for j in range(len(low)):
            rows[k, (2 * k + j) % even] += low[j]
            rows[size - half + k, (2 * k + j) % even] += high[j]
    if size > even:
        rows[half, -1] = 1
    return torch.from_numpy(rows)


def _along(x: Tensor, axis: int, matrix: Tensor) -> Tensor:
    return (x.movedim(axis, -1) @ matrix.T).movedim(-1, axis)


def _blocks(sizes: list[int], levels: int) -> list[list[int]]:
    """The sizes of the coarse corner that each level works on; a level that would halve a single value is left out."""
    blocks = []
    for _ in range(levels):
        if min(sizes) < 2:
            break
        blocks.append(sizes)
        sizes = [size - size // 2 for size in sizes]
    return blocks


def _corner(x: Tensor, axes: tuple[int, ...], sizes: list[int]) -> Tensor:
    """A view of the first `sizes` places along the axes."""
    for axis, size in zip(axes, sizes, strict=True):
        x = x.narrow(axis, 0, size)
    return x


def _details(shape: tuple[int, ...], axes: tuple[int, ...], levels: int) -> Tensor:
    """Ones where `transform` puts details, zeros in the coarse corner, of the item's shape."""
    detail = torch.ones(shape)
    blocks = _blocks([shape[axis] for axis in axes], levels)
    if blocks:
        _corner(detail, axes, [size - size // 2 for size in blocks[-1]]).zero_()
    else:
        detail.zero_()
    return detail
