r"""Blurs with a singular system: periodic ones by the Hartley transform, Gaussian ones with mirrored borders too.

A periodic blur multiplies the Fourier transform by the kernel's h_k = |h_k| e^(i p_k). With the Hartley transform H
(real, symmetric, its own inverse; see `spectral`)

    A = U S V',    V = H,    S = diag |h_k|,    U = F^-1 diag(e^(i p_k)) F H,                                       (1)

all real, and every product costs O(n log n). An even kernel needs no phase, only a sign.

What a blur weakens too much, it has lost. A frequency that A passes by a share of 1e-7 could only be found again from y
by inventing it out of round-off: A+ would be useless, and in float32 not even a pseudo-inverse. So frequencies with
|h_k| < `cutoff` max |h| count as lost in A itself, in A' and in A+ alike, which are then exactly adjoint and
pseudo-inverse. The default of 1 % changes A x by less than 1 % of its finest detail, which is less than the rounding of
pictures to 8 bits; cutoff=0 keeps all.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import cached_property, reduce

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .base import Operator, SingularSystem
from .kernels import check_kernel, check_size, gaussian_weights, motion_kernel
from .patterns import places
from .spectral import BASES, hartley, last, spectrum_of

CUTOFF = 1e-2


@dataclass(frozen=True, eq=False)
class Spectral(Operator):
    """A blur that is known by its frequencies, the same in every channel.

    Attributes:
        cutoff: frequencies that pass by less than this share of the strongest are lost.
    """

    cutoff: float = field(default=CUTOFF, kw_only=True)

    def __post_init__(self) -> None:
        if not 0 <= self.cutoff < 1:
            raise UserError(f"the cutoff of a blur is a share, at least 0 and below 1; got {self.cutoff}")

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return self.bound_shape

    @cached_property
    def axes(self) -> int:
        """How many axes are blurred."""
        return len(places(self.bound_shape))


@dataclass(frozen=True, eq=False)
class Periodic(Spectral):
    """A convolution with periodic boundary; a subclass says with what.

    (D,), (C, L) and (C, H, W) to the same shape.
    """

    @abstractmethod
    def taps(self) -> Tensor:
        """The kernel, (k,) or (h, w), centred at n // 2."""

    def fit(self) -> None:
        check_size(self.taps(), places(self.bound_shape))

    @cached_property
    def response(self) -> Tensor:
        """h_k over all frequencies, complex128, without those that are lost."""
        taps = self.taps().double()
        around = taps.new_zeros(places(self.bound_shape))
        around[tuple(slice(n) for n in taps.shape)] = taps
        centred = around.roll(tuple(-(n // 2) for n in taps.shape), last(self.axes))
        return _kept(torch.fft.fftn(centred), self.cutoff)

    def forward(self, x: Tensor) -> Tensor:
        return self._filter(x, self.response)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._filter(y, self.response.conj())

    def singular(self) -> SingularSystem:
        """Equation (1)."""
        gains = self.response.abs()
        phase = torch.where(gains > 0, self.response / gains.where(gains > 0, torch.ones_like(gains)), 0)
        shape, axes = self.bound_shape, self.axes

        def u(y: Tensor) -> Tensor:
            turned = torch.fft.fftn(y, dim=last(axes), norm="ortho") * _complex(phase.conj(), y)
            return (turned.real - turned.imag).flatten(1)

        def u_inverse(c: Tensor) -> Tensor:
            turned = spectrum_of(c.reshape(-1, *shape), axes) * _complex(phase, c)
            return torch.fft.ifftn(turned, dim=last(axes), norm="ortho").real

        return SingularSystem(
            values=gains.broadcast_to(shape).flatten(),
            v=lambda x: hartley(x, axes).flatten(1),
            v_inverse=lambda c: hartley(c.reshape(-1, *shape), axes),
            u=u,
            u_inverse=u_inverse,
        )

    def _filter(self, x: Tensor, response: Tensor) -> Tensor:
        half = response[..., : x.shape[-1] // 2 + 1]
        spectrum = torch.fft.rfftn(x, dim=last(self.axes)) * _complex(half, x)
        return torch.fft.irfftn(spectrum, s=x.shape[-self.axes :], dim=last(self.axes))


@dataclass(frozen=True, eq=False)
class CircularBlur(Periodic):
    """Blur by any kernel, the picture repeating beyond its borders: y_i = sum_j k_j x_(i - j mod n).

    Attributes:
        kernel: (h, w) for pictures, (k,) for vectors and signals, centred at n // 2; sums to one.
        cutoff: as in the module.

    Raises:
        UserError: a kernel that is not finite or does not sum to one; at `on`, one that does not fit the items.

    >>> CircularBlur(torch.full((3,), 1 / 3), cutoff=0)(torch.tensor([[3.0, 0.0, 0.0, 0.0]]))
    tensor([[1., 1., 0., 1.]])
    """

    kernel: Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        check_kernel(self.kernel)

    def taps(self) -> Tensor:
        return self.kernel


@dataclass(frozen=True, eq=False)
class MotionBlur(Periodic):
    """Blur of pictures by a straight motion, with periodic boundary; for another one use `Blur(motion_kernel(...))`.

    Attributes:
        length, angle: as in `motion_kernel`.
        cutoff: as in the module.

    Raises:
        UserError: as `motion_kernel`; at `on`, a motion longer than the picture, or items that are no pictures.
    """

    length: float = 9.0
    angle: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.taps()

    def taps(self) -> Tensor:
        return motion_kernel(self.length, self.angle)


@dataclass(frozen=True, eq=False)
class GaussianBlur(Spectral):
    """Blur by a Gaussian, exp(-r^2 / 2 sigma^2), cut at four sigma and made to sum to one.

    (D,), (C, L) and (C, H, W) to the same shape.

    Attributes:
        sigma: in pixels, at least 0.
        boundary: "reflect" mirrors the items at their borders, the border value included; "periodic" repeats them.
        cutoff: as in the module.

    Raises:
        UserError: a sigma that is negative or not finite, an unknown boundary.

    >>> float(GaussianBlur(1.0)(torch.full((1, 3, 8, 8), 0.5)).std()) < 1e-6
    True
    """

    sigma: float
    boundary: str = "reflect"

    def __post_init__(self) -> None:
        super().__post_init__()
        gaussian_weights(self.sigma)
        BASES[self.boundary]

    @cached_property
    def gains(self) -> Tensor:
        """The factor of each frequency, (*places), float64; it has a sign, as a Gaussian that is cut may have."""
        weights, basis = gaussian_weights(self.sigma), BASES[self.boundary]
        along = [basis.response(weights, length) for length in places(self.bound_shape)]
        return _kept(reduce(lambda a, b: a[..., None] * b, along), self.cutoff)

    def forward(self, x: Tensor) -> Tensor:
        basis = BASES[self.boundary]
        return basis.inverse(basis.forward(x, self.axes) * self.gains.to(x), self.axes)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.forward(y)

    def singular(self) -> SingularSystem:
        """As equation (1), with the boundary's own transform and signs for phases."""
        basis, axes, shape = BASES[self.boundary], self.axes, self.bound_shape
        sign = self.gains.sign()
        return SingularSystem(
            values=self.gains.abs().broadcast_to(shape).flatten(),
            v=lambda x: basis.forward(x, axes).flatten(1),
            v_inverse=lambda c: basis.inverse(c.reshape(-1, *shape), axes),
            u=lambda y: (basis.forward(y, axes) * sign.to(y)).flatten(1),
            u_inverse=lambda c: basis.inverse(c.reshape(-1, *shape) * sign.to(c), axes),
        )


def _kept(response: Tensor, cutoff: float) -> Tensor:
    """The response with zeros where it is below the cutoff."""
    size = response.abs()
    return response * (size >= cutoff * size.max())


def _complex(response: Tensor, like: Tensor) -> Tensor:
    """In the complex type, and on the device, that goes with real data."""
    return response.to(device=like.device, dtype=like.dtype.to_complex())
