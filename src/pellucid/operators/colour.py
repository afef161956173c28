r"""Operators on the channels of an item: grey from colour, mixtures of channels, one colour at each pixel of a sensor.

A mixture multiplies the channel axis by a matrix and leaves all others alone, so it is separable; see `separable`. In
(C, H, W) and (C, L) the channels come first; a vector (D,) has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError, unknown
from .base import Operator, SingularSystem
from .separable import Axes, AxisWise

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R Recommendation BT.601, section 2.5.1
PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")  # of colour filters; two rows of two pixels, as one reads


@dataclass(frozen=True, eq=False)
class ChannelMix(AxisWise):
    """Multiplies the channels by a matrix: (C, *) to (M, *).

    Attributes:
        matrix: (M, C).

    Raises:
        UserError: something that is no matrix of finite numbers; at `on`, other than C columns, or items without
            channels.
    """

    matrix: Tensor

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or not self.matrix.is_floating_point() or not bool(self.matrix.isfinite().all()):
            raise UserError(
                f"channels are mixed by a matrix (M, C) of finite floating-point numbers; got {self.matrix.dtype} of "
                f"shape {tuple(self.matrix.shape)}, or values that are not finite"
            )

    def fit(self) -> None:
        _has_channels(self.bound_shape, self.matrix.shape[1])

    def matrices(self) -> Axes:
        return (self.matrix, *(None,) * (len(self.bound_shape) - 1))


@dataclass(frozen=True, eq=False)
class Decolorise(AxisWise):
    """Grey from colour, a weighted sum of the channels: (C, *) to (1, *). Undoing it is colourising.

    Attributes:
        weights: one for each channel, by default those of luma for red, green and blue; None averages any number of
            channels.

    Raises:
        UserError: weights that are not finite or all zero; at `on`, another number of channels.
    """

    weights: Sequence[float] | None = LUMA

    def __post_init__(self) -> None:
        if self.weights is not None:
            weights = torch.tensor(self.weights)
            if weights.ndim != 1 or not bool(weights.isfinite().all()) or not bool(weights.any()):
                raise UserError(f"grey needs finite weights, not all zero, one for each channel; got {self.weights}")

    def fit(self) -> None:
        channels = None if self.weights is None else len(self.weights)
        _has_channels(self.bound_shape, channels, "; weights=None averages any number of channels")

    def matrices(self) -> Axes:
        channels = self.bound_shape[0]
        weights = [1 / channels] * channels if self.weights is None else list(self.weights)
        return (torch.tensor([weights], dtype=torch.float64), *(None,) * (len(self.bound_shape) - 1))


@dataclass(frozen=True, eq=False)
class Demosaic(Operator):
    """One colour at each pixel, as a sensor behind a Bayer filter sees it: (3, H, W) to (1, H, W).

    Undoing it is demosaicing. With the masks m_c of the colours, which share no pixel and leave none out, A x is the
    sum of m_c x_c; so A A' = I and A+ = A', and the singular values are the masks.

    Attributes:
        pattern: the colours of two rows of two pixels, repeated over the picture.

    Raises:
        UserError: an unknown pattern; at `on`, items that are no pictures of three channels.

    Source: Bayer, "Color Imaging Array", US patent 3,971,065, 1976, figure 1.
    """

    pattern: str = "RGGB"

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise unknown("Bayer pattern", self.pattern, PATTERNS)

    def fit(self) -> None:
        shape = self.bound_shape
        if len(shape) != 3 or shape[0] != 3:
            raise UserError(f"a Bayer filter needs pictures of three channels, (3, H, W); got items of shape {shape}")

    @cached_property
    def masks(self) -> Tensor:
        """(3, H, W): where red, green and blue are seen."""
        masks = torch.zeros(self.bound_shape)
        for place, colour in enumerate(self.pattern):
            masks["RGB".index(colour), place // 2 :: 2, place % 2 :: 2] = 1
        return masks

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.masks.to(x)).sum(1, keepdim=True)

    def adjoint(self, y: Tensor) -> Tensor:
        return y * self.masks.to(y)

    def pinv(self, y: Tensor) -> Tensor:
        return self.adjoint(y)

    def gram_diagonal(self) -> Tensor:
        return torch.ones(())

    def singular(self) -> SingularSystem:
        shape = self.bound_shape
        return SingularSystem(
            values=self.masks.flatten(),
            v=lambda x: x.flatten(1),
            v_inverse=lambda c: c.reshape(-1, *shape),
            u=lambda y: self.adjoint(y).flatten(1),
            u_inverse=lambda c: self.forward(c.reshape(-1, *shape)),
        )


def _has_channels(shape: tuple[int, ...], channels: int | None, hint: str = "") -> None:
    if len(shape) < 2:
        raise UserError(f"items of shape {shape} have no channels to mix: (C, L) and (C, H, W) have")
    if channels is not None and shape[0] != channels:
        raise UserError(f"made for {channels} channels, but items of shape {shape} have {shape[0]}{hint}")
