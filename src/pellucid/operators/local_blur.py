r"""Blurs whose singular system is not known: any kernel with a border, and blur that differs from place to place.

A+ is found by conjugate gradients (`solve`). A strong blur loses fine detail nearly, but not quite: there the iteration
stops, after 500 products at most, before it has amplified all noise and round-off, so A+ y is smoother than the exact
solution. `CircularBlur` and `GaussianBlur` have the exact one, with a cutoff.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import Tensor
from torch.nn import functional

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from .base import Operator
from .kernels import check_kernel, check_size, gaussian_weights
from .patterns import places
from .spectral import BASES, last

Border = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def _mirror(position: Tensor, length: int) -> tuple[Tensor, Tensor]:
    around = position % (2 * length)
    return torch.minimum(around, 2 * length - 1 - around), torch.ones_like(position)


def _nothing(position: Tensor, length: int) -> tuple[Tensor, Tensor]:
    inside = position.clamp(0, length - 1)
    return inside, (inside == position).long()


# What stands at a position outside [0, length): the index of a value inside, and its weight.
BORDERS: Registry[Border] = Registry("boundary", {"reflect": _mirror, "zero": _nothing})


@dataclass(frozen=True, eq=False)
class Blur(Operator):
    """Blur by any kernel, with a border: y_i = sum_j k_j x_(i - j), x continued beyond its borders.

    (D,), (C, L) and (C, H, W) to the same shape, by the fast Fourier transform whatever the kernel's size.

    Attributes:
        kernel: (h, w) for pictures, (k,) for vectors and signals, centred at n // 2; sums to one.
        boundary: "reflect" mirrors the items at their borders, the border value included; "zero" sees nothing there.

    Raises:
        UserError: a kernel that is not finite or does not sum to one, an unknown boundary; at `on`, a kernel that does
            not fit the items.

    >>> Blur(torch.full((3,), 1 / 3))(torch.tensor([[3.0, 0.0, 0.0, 0.0]]))[0, :3].round(decimals=4)
    tensor([2., 1., 0.])
    """

    kernel: Tensor
    boundary: str = "reflect"

    def __post_init__(self) -> None:
        check_kernel(self.kernel)
        BORDERS[self.boundary]

    def fit(self) -> None:
        check_size(self.kernel, places(self.bound_shape))

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return self.bound_shape

    @cached_property
    def axes(self) -> int:
        """How many axes are blurred."""
        return len(places(self.bound_shape))

    @cached_property
    def wide(self) -> tuple[int, ...]:
        """The places and what of their surroundings the kernel sees."""
        return tuple(n + k - 1 for n, k in zip(places(self.bound_shape), self.kernel.shape, strict=True))

    @cached_property
    def response(self) -> Tensor:
        """The kernel's transform on the wide places, complex128, half of the last axis."""
        return torch.fft.rfftn(self.kernel.double(), s=self.wide)

    @cached_property
    def borders(self) -> list[tuple[Tensor, Tensor]]:
        """For each axis the index and weight of what stands at each wide place."""
        make = BORDERS[self.boundary]
        # y_i sees x_(i - j) for j from -(k // 2), so k - 1 - k // 2 values stand before the first
        return [
            make(torch.arange(n + k - 1) - (k - 1 - k // 2), n)
            for n, k in zip(places(self.bound_shape), self.kernel.shape, strict=True)
        ]

    def forward(self, x: Tensor) -> Tensor:
        for axis, (index, weight) in zip(last(self.axes), self.borders, strict=True):
            x = x.index_select(axis, index.to(x.device)) * _along(weight, axis, x)
        blurred = self._filter(x, self.response)
        for axis, k in zip(last(self.axes), self.kernel.shape, strict=True):
            blurred = blurred.narrow(axis, k - 1, blurred.shape[axis] - k + 1)
        return blurred

    def adjoint(self, y: Tensor) -> Tensor:
        before = [part for k in reversed(self.kernel.shape) for part in (k - 1, 0)]  # of the last axis first
        x = self._filter(functional.pad(y, before), self.response.conj())
        for axis, (index, weight) in zip(last(self.axes), self.borders, strict=True):
            narrow = list(x.shape)
            narrow[axis] = self.bound_shape[axis]
            x = x.new_zeros(narrow).index_add(axis, index.to(x.device), x * _along(weight, axis, x))
        return x

    def _filter(self, x: Tensor, response: Tensor) -> Tensor:
        response = response.to(device=x.device, dtype=x.dtype.to_complex())
        return torch.fft.irfftn(torch.fft.rfftn(x, dim=last(self.axes)) * response, s=self.wide, dim=last(self.axes))


@dataclass(frozen=True, eq=False)
class VaryingBlur(Operator):
    """Gaussian blur with a sigma of its own at every place, borders mirrored.

        A x = sum_i w_i * (G_i x),

    with G_i the Gaussian blurs of a few levels of sigma, equally far apart, and w_i the maps that interpolate linearly
    between the two levels next to a place's sigma. The error against a true Gaussian at each place falls with the
    square of the levels' distance.

    (D,), (C, L) and (C, H, W) to the same shape.

    Attributes:
        sigmas: in pixels, (H, W) for pictures, (L,) for signals, (D,) for vectors.
        levels: how many Gaussian blurs at most.

    Raises:
        UserError: a sigma that is negative or not finite, fewer than two levels; at `on`, a map of another size.

    Source: Nagy and O'Leary, "Restoring Images Degraded by Spatially Variant Blur", 1998, section 3 (interpolation).
    """

    sigmas: Tensor
    levels: int = 8

    def __post_init__(self) -> None:
        if self.sigmas.numel() == 0 or not bool(self.sigmas.isfinite().all()) or float(self.sigmas.min()) < 0:
            raise UserError("the sigmas of a varying blur are numbers of pixels, all finite and at least 0")
        if self.levels < 2:
            raise UserError(f"a varying blur interpolates between at least 2 levels, got {self.levels}")

    def fit(self) -> None:
        sizes = places(self.bound_shape)
        if tuple(self.sigmas.shape) != sizes:
            raise UserError(
                f"the map of sigmas has the shape {tuple(self.sigmas.shape)}, but the items have places {sizes}"
            )

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return self.bound_shape

    @cached_property
    def parts(self) -> tuple[Tensor, Tensor]:
        """For each level the gains of its Gaussian and the map of its weights: (levels, *1, *places) each, float64."""
        sigmas = self.sigmas.double().cpu()
        low, high = float(sigmas.min()), float(sigmas.max())
        count = self.levels if high > low else 1
        position = (sigmas - low) * ((count - 1) / (high - low)) if count > 1 else torch.zeros_like(sigmas)
        gains, maps = [], []
        for i in range(count):
            weights = gaussian_weights(low + (high - low) * i / max(1, count - 1))
            along = [BASES["reflect"].response(weights, length) for length in sigmas.shape]
            gains.append(reduce(lambda a, b: a[..., None] * b, along))
            maps.append((1 - (position - i).abs()).clamp(min=0))
        channels = (1,) * (len(self.bound_shape) - sigmas.ndim)
        shape = (count, *channels, *sigmas.shape)
        return torch.stack(gains).reshape(shape), torch.stack(maps).reshape(shape)

    def forward(self, x: Tensor) -> Tensor:
        basis, axes = BASES["reflect"], self.sigmas.ndim
        gains, maps = (part.to(x) for part in self.parts)
        return (maps * basis.inverse(gains * basis.forward(x, axes)[:, None], axes)).sum(1)

    def adjoint(self, y: Tensor) -> Tensor:
        basis, axes = BASES["reflect"], self.sigmas.ndim
        gains, maps = (part.to(y) for part in self.parts)
        return basis.inverse((gains * basis.forward(maps * y[:, None], axes)).sum(1), axes)


def _along(weight: Tensor, axis: int, like: Tensor) -> Tensor:
    """Weights of one axis, counted from the end, against data."""
    return weight.to(like).reshape(-1, *(1,) * (-axis - 1))
