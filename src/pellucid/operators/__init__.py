"""Linear operators: what damages data. They know nothing of diffusion."""

from __future__ import annotations

from collections.abc import Callable

from ..foundations.registry import Registry
from .base import Operator, SingularSystem
from .check import CheckReport, check, require_linear
from .colour import ChannelMix, Decolorise, Demosaic
from .compose import Compose, Scale, Stack
from .custom import Custom, Matrix
from .masks import Box, Brush, HalfPlane, Mask, Masked, RandomMask, Text
from .patterns import box_mask, brush_mask, half_plane_mask, random_mask, text_mask
from .resample import Bicubic, Downsample
from .separable import AxisWise, Separable
from .simple import Crop, Identity, Quantise

OPERATORS: Registry[Callable[..., Operator]] = Registry(
    "operator",
    {
        "separable": Separable,
        "mask": Mask,
        "box": Box,
        "random-mask": RandomMask,
        "brush": Brush,
        "text": Text,
        "half-plane": HalfPlane,
        "downsample": Downsample,
        "bicubic": Bicubic,
        "decolorise": Decolorise,
        "channel-mix": ChannelMix,
        "demosaic": Demosaic,
        "identity": Identity,
        "crop": Crop,
        "quantise": Quantise,
        "compose": Compose,
        "stack": Stack,
        "scale": Scale,
        "matrix": Matrix,
        "custom": Custom,
    },
)

__all__ = [
    "OPERATORS",
    "AxisWise",
    "Bicubic",
    "Box",
    "Brush",
    "ChannelMix",
    "CheckReport",
    "Compose",
    "Crop",
    "Custom",
    "Decolorise",
    "Demosaic",
    "Downsample",
    "HalfPlane",
    "Identity",
    "Mask",
    "Masked",
    "Matrix",
    "Operator",
    "Quantise",
    "RandomMask",
    "Scale",
    "Separable",
    "SingularSystem",
    "Stack",
    "Text",
    "box_mask",
    "brush_mask",
    "check",
    "half_plane_mask",
    "random_mask",
    "require_linear",
    "text_mask",
]
