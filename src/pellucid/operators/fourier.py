r"""Partial Fourier sampling: some frequencies are measured, the others are lost, as in magnetic resonance imaging.

Items are real, so a frequency k and its mirror -k tell the same: (F x)_-k is the conjugate of (F x)_k. A pair that is
measured gives two real numbers, which are here the Hartley coefficients c_k and c_-k (`spectral`, equations 1 and 2):

    Re (F x)_k = (c_k + c_-k) / 2,    Im (F x)_k = (c_-k - c_k) / 2,    F orthonormal.                              (1)

So every operator here is chosen rows of one real orthonormal transform (`rows`), with all pairs complete. White noise
of standard deviation s on the c_k is noise of s / sqrt(2) on each real and imaginary part.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream
from .patterns import places
from .rows import Rows
from .spectral import hartley


@dataclass(frozen=True, eq=False)
class Fourier(Rows):
    """Measures the frequencies of a mask; a subclass says which. (D,) to (m,), (C, L) or (C, H, W) to (C, m)."""

    @abstractmethod
    def mask(self) -> Tensor:
        """The frequencies that are measured, bool, (*places), frequency 0 first as in `torch.fft`; k whenever -k."""

    def choose(self) -> Tensor:
        return self.mask().flatten().nonzero()[:, 0]

    def transform(self, x: Tensor) -> Tensor:
        sizes = places(self.bound_shape)
        return hartley(x.reshape(*x.shape[:-1], *sizes), len(sizes)).reshape(x.shape)

    def inverse(self, c: Tensor) -> Tensor:
        return self.transform(c)


@dataclass(frozen=True, eq=False)
class PartialFourier(Fourier):
    """Random frequencies, and always the lowest.

    Attributes:
        keep: the share of the frequencies (of the lines, with `lines`) that is measured, above 0 and at most 1.
        centre: the share that is measured at the lowest frequencies, from 0 to `keep`.
        lines: in pictures, measure whole rows of frequencies, as scanners do; else single frequencies.
        seed: decides which.

    Raises:
        UserError: shares out of range.

    Source: Lustig, Donoho and Pauly, "Sparse MRI", 2007.

    >>> PartialFourier(0.25)(torch.ones(1, 3, 16, 16)).shape
    torch.Size([1, 3, 80])
    """

    keep: float = 0.25
    centre: float = 0.08
    lines: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise UserError(f"keep is the share of the frequencies, above 0 and at most 1; got {self.keep}")
        if not 0 <= self.centre <= self.keep:
            raise UserError(f"centre is a share from 0 to keep = {self.keep}; got {self.centre}")

    def mask(self) -> Tensor:
        sizes = places(self.bound_shape)
        if not self.lines or len(sizes) == 1:
            return _random_frequencies(sizes, self.keep, self.centre, self.seed)
        rows = _random_frequencies(sizes[:1], self.keep, self.centre, self.seed)
        return rows[:, None].expand(sizes)


@dataclass(frozen=True, eq=False)
class RadialFourier(Fourier):
    """Straight lines through frequency 0, at angles equally far apart, out to the border of the square of frequencies.

    Attributes:
        lines: how many, at least 1.

    Raises:
        UserError: fewer than one line; at `on`, items that are no pictures.

    Source: Candes, Romberg and Tao, "Robust Uncertainty Principles", 2006, section 1.1.

    >>> RadialFourier(8).on((1, 64, 64)).share < 0.13
    True
    """

    lines: int = 16

    def __post_init__(self) -> None:
        if isinstance(self.lines, bool) or not isinstance(self.lines, int) or self.lines < 1:
            raise UserError(f"the number of radial lines is a whole number, at least 1; got {self.lines!r}")

    def mask(self) -> Tensor:
        sizes = places(self.bound_shape)
        if len(sizes) != 2:
            raise UserError(
                f"radial lines of frequencies are for pictures (C, H, W), and items here have the shape "
                f"{self.bound_shape}: use PartialFourier"
            )
        height, width = sizes
        angles = math.pi * torch.arange(self.lines, dtype=torch.float64) / self.lines
        down, across = angles.sin()[:, None], angles.cos()[:, None]
        # Out to the nearest border, one frequency at a time along the longer axis.
        reach = 0.5 / torch.maximum(down.abs(), across.abs())
        half = max(sizes) // 2
        r = 2 * torch.arange(-half, half + 1, dtype=torch.float64) / max(sizes) * reach
        y, x = (r * down * height).round().long() % height, (r * across * width).round().long() % width
        mask = torch.zeros(sizes, dtype=torch.bool)
        mask[y, x] = True
        return mask | _mirror(mask)


def _random_frequencies(sizes: Sequence[int], keep: float, centre: float, seed: int) -> Tensor:
    """About a share of all frequencies in whole pairs, the lowest first and then at random: bool, (*sizes)."""
    n = math.prod(sizes)
    index = torch.arange(n).reshape(*sizes)
    pair = torch.minimum(index, _mirror(index)).flatten()  # one name for k and -k
    order = Stream.of(seed, [0]).words(n, step=0)[0, 0, 0].double()[pair]
    radius = torch.zeros(tuple(sizes), dtype=torch.float64)
    for axis, length in enumerate(sizes):
        along = torch.fft.fftfreq(length, dtype=torch.float64).square()
        radius = radius + along.reshape(-1, *(1,) * (len(sizes) - axis - 1))
    low = (radius.flatten() + 1e-9 * pair / n).argsort(stable=True)[: round(centre * n)]
    order[low] = -1.0
    count = max(1, round(keep * n))
    last = order.sort().values[count - 1]
    mask = (order <= last).reshape(*sizes)
    return mask | _mirror(mask)


def _mirror(values: Tensor) -> Tensor:
    """Values at -k, for values at k of `torch.fft`."""
    axes = tuple(range(values.ndim))
    return values.flip(axes).roll((1,) * values.ndim, axes)
