"""Restoration: y = A x + n for any linear A, with one trained denoiser."""

from __future__ import annotations

from collections.abc import Callable

from ..foundations.registry import Registry
from .base import Observation, Restorer, Wrapper
from .ddnm import DDNM
from .ddnm_plus import DDNMPlus
from .ddrm import DDRM
from .diffpir import DiffPIR
from .dps import DPS
from .latent_code import LatentCode
from .mmps import MMPS, TMPD
from .pigdm import PiGDM
from .plug_and_play import RED, PlugAndPlay
from .repaint import RePaint
from .smc import SMC
from .tikhonov import Tikhonov
from .total_variation import TotalVariation
from .wavelet import Wavelet

RESTORERS: Registry[Callable[..., Restorer]] = Registry(
    "restoration method",
    {
        "ddnm": DDNM,
        "ddnm+": DDNMPlus,
        "ddrm": DDRM,
        "dps": DPS,
        "diffpir": DiffPIR,
        "repaint": RePaint,
        "pigdm": PiGDM,
        "mmps": MMPS,
        "tmpd": TMPD,
        "smc": SMC,
        # One estimate, with the denoiser as regulariser or as generator.
        "pnp": PlugAndPlay,
        "red": RED,
        "latent-code": LatentCode,
        # Without a denoiser.
        "tikhonov": Tikhonov,
        "tv": TotalVariation,
        "wavelet": Wavelet,
    },
)

__all__ = [
    "DDNM",
    "DDRM",
    "DPS",
    "MMPS",
    "RED",
    "RESTORERS",
    "SMC",
    "TMPD",
    "DDNMPlus",
    "DiffPIR",
    "LatentCode",
    "Observation",
    "PiGDM",
    "PlugAndPlay",
    "RePaint",
    "Restorer",
    "Tikhonov",
    "TotalVariation",
    "Wavelet",
    "Wrapper",
]
