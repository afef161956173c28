r"""Noise that is not known: its level from the observation itself, and Poisson noise made Gaussian.

The finest diagonal wavelet coefficients of a picture hold nearly no picture and all of the noise, whose level is then

    noise = median |d| / 0.6745                                                                                    (1)

(Donoho and Johnstone, "Ideal Spatial Adaptation by Wavelet Shrinkage", 1994, section 6.1), which a few strong edges do
not change. What texture there is counts as noise: the estimate is an upper one, by some 0.01 to 0.02 on photographs.

Counts n ~ Poisson(m) have the variance m, which only n tells. The weights 1/(n + 1) with n + min(n, 1) for n make the
weighted mean of counts unbiased, whatever m:

    E[(n + min(n, 1)) / (n + 1)] = 1 - exp(-m) = m E[1 / (n + 1)]                                                  (2)

(Mighell, "Parameter Estimation in Astronomy with Poisson-Distributed Data. I. The chi^2_gamma Statistic", 1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..operators import Bicubic, ChannelMix, Crop, Decolorise, Downsample, Identity, Masked, Operator
from ..operators.blur import Spectral
from ..operators.local_blur import Blur, VaryingBlur
from .base import Observation

_MEDIAN = 0.6744897501960817  # of |z|, z standard normal
_ENDS = 0.9999  # values of pictures at -1 and 1 may have been cut off there
_FEWEST = 50  # coefficients: the estimate is then good to 16 %, its standard error being 1.17 noise / sqrt(number)

# High-pass filters, the wavelets of Daubechies with 4 and 1 vanishing moments ("Orthonormal Bases of Compactly
# Supported Wavelets", 1988, table 1). The short one is for observations with holes.
_FILTERS = tuple(
    torch.tensor(taps, dtype=torch.float64)
    for taps in (
        (
            0.23037781330885523,
            -0.7148465705525415,
            0.6308807679295904,
            0.02798376941698385,
            -0.18703481171888114,
            -0.030841381835986965,
            0.032883011666982945,
            0.010597401784997278,
        ),
        (0.5**0.5, -(0.5**0.5)),
    )
)
_LIKE_PICTURES = (Masked, Identity, Spectral, Blur, VaryingBlur, Downsample, Bicubic, Decolorise, ChannelMix, Crop)


def estimate_noise(y: Tensor, known: Tensor | None = None) -> float:
    """The standard deviation of independent Gaussian noise, equation (1), of all items together.

    Args:
        y: pictures (B, C, H, W) or signals (B, C, L); of pictures, values at the ends of [-1, 1] are left out, since
            their noise was cut off.
        known: of a shape that broadcasts to an item's: ones where y was seen; all if None.

    Raises:
        UserError: vectors, which have no neighbours, or too little to see.
    """
    if y.ndim < 3:
        raise UserError(
            f"noise is estimated from neighbouring values of pictures or signals, and items of shape "
            f"{tuple(y.shape[1:])} have no neighbours: give the noise as a number"
        )
    axes = y.ndim - 2
    clear = torch.ones_like(y) if known is None else known.to(y).expand_as(y)
    inside = clear * (y.abs() < _ENDS) if axes == 2 else clear
    for usable in (inside, clear):
        for taps in _FILTERS:
            details, whole = _filtered(y.double(), taps), _filtered(usable.double(), taps.abs().sign())
            seen = details[whole > len(taps) ** axes - 0.5]
            if len(seen) >= _FEWEST:
                return float(seen.abs().median()) / _MEDIAN
    raise UserError(
        f"too little was seen to estimate the noise from: {_FEWEST} places with known neighbours are needed; give the "
        "noise as a number"
    )


def noise_of(operator: Operator, y: Tensor) -> float:
    """`estimate_noise` of what an operator gives, where this is a picture or a signal.

    Raises:
        UserError: an operator whose output is something else (Fourier coefficients, a mosaic, a matrix's), or too
            little to see.
    """
    if not isinstance(operator, _LIKE_PICTURES):
        raise UserError(
            f"the noise of what {type(operator).__name__} gives cannot be told from it: give the noise as a number"
        )
    return estimate_noise(y, operator.kept if isinstance(operator, Masked) else None)


def _filtered(y: Tensor, taps: Tensor) -> Tensor:
    """The convolution with the taps along every axis of places, wherever all of them lie inside."""
    for axis in range(2, y.ndim):
        count = y.shape[axis] - len(taps) + 1
        if count < 1:
            return y.new_zeros(0)
        y = sum((float(tap) * y.narrow(axis, j, count) for j, tap in enumerate(taps)), start=y.new_zeros(()))
    return y


@dataclass(frozen=True, eq=False)
class Weighted(Operator):
    """w A x: every observed value multiplied by a weight of its own.

    Attributes:
        operator: A.
        weights: w, of a shape that broadcasts to (B, *out_shape): each item may have its own.
    """

    operator: Operator
    weights: Tensor

    def fit(self) -> None:
        self.inner  # noqa: B018 - binding raises where it does not fit

    @cached_property
    def inner(self) -> Operator:
        """A, bound."""
        return self.operator.on(self.bound_shape)

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return self.inner.out_shape

    def forward(self, x: Tensor) -> Tensor:
        return self.weights.to(x) * self.inner.forward(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.inner.adjoint(self.weights.to(y) * y)


def whiten(observation: Observation, peak: float) -> Observation:
    """A picture with Poisson noise as an observation with Gaussian noise of level 1 in all values.

    A count n ~ Poisson(peak (A x + 1)/2) was stored as y = 2 n / peak - 1. Its variance is 2 (A x + 1)/peak in the
    scale of y, of which y is all that is known; equation (2) says how it is used.

    Args:
        observation: y and A; its noise, that of the reading, is added to the Poisson noise.
        peak: the expected count at full white, y = 1.

    Returns:
        w y' and w A with the level 1: y' = y + 2 min(n, 1)/peak, w^-2 = 4 (n + 1)/peak^2 + noise^2.

    Raises:
        UserError: a peak that is not positive and finite, or y below -1, where there can be no count.
    """
    if not 0 < peak < float("inf"):
        raise UserError(f"the peak of Poisson noise is a positive count, got {peak}")
    y = observation.y
    lowest = float(y.min())
    if lowest < -1 - 1e-4 - 6 * observation.noise:
        raise UserError(f"Poisson noise is that of counts, and y = -1 is none: y goes down to {lowest:.3g}")
    counts = (peak * (y + 1) / 2).clamp_min(0)
    weights = (4 * (counts + 1) / peak**2 + observation.noise**2).rsqrt()
    shifted = y + 2 * counts.clamp_max(1) / peak
    operator = Weighted(observation.operator, weights).on(observation.operator.bound_shape)
    return Observation(operator, weights * shifted, 1.0)
