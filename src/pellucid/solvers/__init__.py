"""Layer 3: solvers. Each is one pure step; `sample` is the loop."""

from __future__ import annotations

from collections.abc import Callable

from ..foundations.registry import Registry
from .ancestral import DDIM, DDPM, Ancestral
from .base import Solver, sample
from .multistep import DPMpp2M
from .ode import Euler, Heun

SOLVERS: Registry[Callable[..., Solver]] = Registry(
    "solver",
    {
        "ancestral": Ancestral,
        "ddpm": DDPM,
        "ddim": DDIM,
        "euler": Euler,
        "heun": Heun,
        "dpmpp-2m": DPMpp2M,
    },
)

__all__ = ["DDIM", "DDPM", "SOLVERS", "Ancestral", "DPMpp2M", "Euler", "Heun", "Solver", "sample"]
