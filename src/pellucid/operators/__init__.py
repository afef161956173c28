"""Linear operators: what damages data. They know nothing of diffusion."""

from __future__ import annotations

from collections.abc import Callable

from ..foundations.registry import Registry
from .base import Operator, SingularSystem
from .masks import Box, Brush, HalfPlane, Mask, Masked, RandomMask, Text
from .patterns import box_mask, brush_mask, half_plane_mask, random_mask, text_mask
from .resample import Bicubic, Downsample
from .separable import AxisWise, Separable

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
    },
)

__all__ = [
    "OPERATORS",
    "AxisWise",
    "Bicubic",
    "Box",
    "Brush",
    "Downsample",
    "HalfPlane",
    "Mask",
    "Masked",
    "Operator",
    "RandomMask",
    "Separable",
    "SingularSystem",
    "Text",
    "box_mask",
    "brush_mask",
    "half_plane_mask",
    "random_mask",
    "text_mask",
]
