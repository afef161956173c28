"""Restoration: y = A x + n for any linear A, with one trained denoiser."""

from __future__ import annotations

from collections.abc import Callable

from ..foundations.registry import Registry
from .base import Observation, Restorer, Wrapper

RESTORERS: Registry[Callable[..., Restorer]] = Registry("restoration method", {})

__all__ = ["RESTORERS", "Observation", "Restorer", "Wrapper"]
