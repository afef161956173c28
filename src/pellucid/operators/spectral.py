r"""Real orthonormal transforms by the fast Fourier transform F, over the last `axes` axes, in O(n log n).

The Hartley transform, with cas(a) = cos a + sin a, is symmetric and its own inverse, and it follows from F:

    (H x)_k = n^(-1/2) sum_j cas(2 pi k'j / n) x_j = Re (F x)_k - Im (F x)_k,                                       (1)
    (F x)_k = (c_k + c_-k) / 2 - i (c_k - c_-k) / 2       for c = H x.                                               (2)

So a filter whose response is real and even is diagonal in it, and so is every even mask of frequencies
(Bracewell, "Discrete Hartley Transform", 1983).

The cosine transform of type 2, along each axis,

    (C x)_k = sqrt((2 - [k = 0]) / n) sum_j cos(pi k (j + 1/2) / n) x_j,                                             (3)

diagonalises even filters on pictures that are mirrored at their borders, ... x_1 x_0 | x_0 x_1 ... It is the real part
of F of the even places, then the odd ones backwards, turned by half a place (Makhoul, "A Fast Cosine Transform in One
and Two Dimensions", 1980, section III).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.registry import Registry


def last(axes: int) -> tuple[int, ...]:
    """The last axes: (-axes, ..., -1)."""
    return tuple(range(-axes, 0))


def hartley(x: Tensor, axes: int) -> Tensor:
    """H x of equation (1); also H^-1."""
    spectrum = torch.fft.fftn(x, dim=last(axes), norm="ortho")
    return spectrum.real - spectrum.imag


def mirrored(c: Tensor, axes: int) -> Tensor:
    """c_-k: the frequencies in reverse, the first in its place."""
    return c.flip(last(axes)).roll((1,) * axes, last(axes))


def spectrum_of(c: Tensor, axes: int) -> Tensor:
    """F x from c = H x, by equation (2)."""
    back = mirrored(c, axes)
    return torch.complex((c + back) / 2, (back - c) / 2)


def cosine(x: Tensor, axes: int) -> Tensor:
    """C x of equation (3) along each of the last axes."""
    for axis in last(axes):
        x = _cosine(x.movedim(axis, -1)).movedim(-1, axis)
    return x


def cosine_inverse(c: Tensor, axes: int) -> Tensor:
    """C^-1 c = C' c along each of the last axes."""
    for axis in last(axes):
        c = _cosine_inverse(c.movedim(axis, -1)).movedim(-1, axis)
    return c


def _cosine(x: Tensor) -> Tensor:
    folded = torch.cat([x[..., ::2], x[..., 1::2].flip(-1)], dim=-1)
    turn, scale = _turn_and_scale(x)
    return (torch.fft.fft(folded) * turn).real * scale


def _cosine_inverse(c: Tensor) -> Tensor:
    n = c.shape[-1]
    turn, scale = _turn_and_scale(c)
    c = c / scale
    back = torch.cat([torch.zeros_like(c[..., :1]), c[..., 1:].flip(-1)], dim=-1)  # c_(n - k), with c_n = 0
    half = n // 2 + 1
    folded = torch.fft.irfft(torch.complex(c, -back)[..., :half] * turn.conj()[:half], n=n)
    even = (n + 1) // 2
    # Even and odd places in turn; where n is odd the last odd one is a stand-in, and cut off.
    odd = torch.cat([folded[..., even:].flip(-1), folded[..., : 2 * even - n]], dim=-1)
    return torch.stack([folded[..., :even], odd], dim=-1).flatten(-2)[..., :n]


def _turn_and_scale(like: Tensor) -> tuple[Tensor, Tensor]:
    n = like.shape[-1]
    k = torch.arange(n, device=like.device, dtype=torch.float64)
    angle = -math.pi * k / (2 * n)
    scale = ((2 - (k == 0).to(k)) / n).sqrt()
    return torch.complex(angle.cos(), angle.sin()).to(like.dtype.to_complex()), scale.to(like.dtype)


@dataclass(frozen=True)
class Basis:
    """The transform that diagonalises even filters under one boundary.

    Attributes:
        forward, inverse: (x, axes) to coefficients, and back.
        period: after how many lengths of the axis the extended items repeat.
    """

    forward: Callable[[Tensor, int], Tensor]
    inverse: Callable[[Tensor, int], Tensor]
    period: int

    def response(self, weights: Tensor, length: int) -> Tensor:
        """sum_j w_j cos(2 pi k j / (period n)) for an even filter w, j from -r to r: (length,), float64."""
        reach = len(weights) // 2
        j = torch.arange(-reach, reach + 1, dtype=torch.float64)
        k = torch.arange(length, dtype=torch.float64)
        return (2 * math.pi * k[:, None] * j / (self.period * length)).cos() @ weights


BASES: Registry[Basis] = Registry(
    "boundary", {"reflect": Basis(cosine, cosine_inverse, 2), "periodic": Basis(hartley, hartley, 1)}
)
