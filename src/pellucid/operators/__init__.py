"""Linear operators: what damages data. They know nothing of diffusion."""

from __future__ import annotations

from collections.abc import Callable

from ..foundations.registry import Registry
from .base import Operator, SingularSystem

OPERATORS: Registry[Callable[..., Operator]] = Registry("operator", {})

__all__ = ["OPERATORS", "Operator", "SingularSystem"]
