"""Linear operators: what damages data. They know nothing of diffusion."""

from __future__ import annotations

from collections.abc import Callable

from ..foundations.registry import Registry
from .base import Operator, SingularSystem
from .separable import AxisWise, Separable

OPERATORS: Registry[Callable[..., Operator]] = Registry(
    "operator",
    {
        "separable": Separable,
    },
)

__all__ = ["OPERATORS", "AxisWise", "Operator", "Separable", "SingularSystem"]
