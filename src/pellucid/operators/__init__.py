"""Linear operators: what damages data. They know nothing of diffusion."""

from __future__ import annotations

from collections.abc import Callable

from ..foundations.registry import Registry
from .base import Operator, SingularSystem
from .blur import CircularBlur, GaussianBlur, MotionBlur
from .check import CheckReport, check, require_linear
from .colour import ChannelMix, Decolorise, Demosaic
from .compose import Compose, Scale, Stack
from .custom import Custom, Matrix
from .fourier import PartialFourier, RadialFourier
from .kernels import gaussian_kernel, motion_kernel
from .local_blur import Blur, VaryingBlur
from .masks import Box, Brush, HalfPlane, Mask, Masked, RandomMask, Text
from .nonlinear import Behind
from .patterns import box_mask, brush_mask, half_plane_mask, random_mask, text_mask
from .resample import Bicubic, Downsample
from .sensing import BlockSensing, GaussianSensing, HadamardSensing
from .separable import AxisWise, Separable
from .simple import Crop, Identity, Quantise
from .tomography import Tomography

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
        "circular-blur": CircularBlur,
        "gaussian-blur": GaussianBlur,
        "motion-blur": MotionBlur,
        "blur": Blur,
        "varying-blur": VaryingBlur,
        "gaussian-sensing": GaussianSensing,
        "hadamard-sensing": HadamardSensing,
        "block-sensing": BlockSensing,
        "partial-fourier": PartialFourier,
        "radial-fourier": RadialFourier,
        "tomography": Tomography,
    },
)

__all__ = [
    "OPERATORS",
    "AxisWise",
    "Behind",
    "Bicubic",
    "BlockSensing",
    "Blur",
    "Box",
    "Brush",
    "ChannelMix",
    "CheckReport",
    "CircularBlur",
    "Compose",
    "Crop",
    "Custom",
    "Decolorise",
    "Demosaic",
    "Downsample",
    "GaussianBlur",
    "GaussianSensing",
    "HadamardSensing",
    "HalfPlane",
    "Identity",
    "Mask",
    "Masked",
    "Matrix",
    "MotionBlur",
    "Operator",
    "PartialFourier",
    "Quantise",
    "RadialFourier",
    "RandomMask",
    "Scale",
    "Separable",
    "SingularSystem",
    "Stack",
    "Text",
    "Tomography",
    "VaryingBlur",
    "box_mask",
    "brush_mask",
    "check",
    "gaussian_kernel",
    "half_plane_mask",
    "motion_kernel",
    "random_mask",
    "require_linear",
    "text_mask",
]
