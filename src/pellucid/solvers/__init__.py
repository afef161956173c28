"""Layer 3: solvers. Each is one pure step; `sample` is the loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..foundations.registry import Registry
from ..processes.base import Process
from ..processes.symbols import Symbols
from .ancestral import DDIM, DDPM, Ancestral
from .asinh import AsinhAdams
from .base import Solver, sample
from .cached import CachedAncestral
from .churn import EDMChurn
from .confidence import Confidence
from .corrected import Corrected
from .deis import DEIS
from .dopri import Dopri5
from .er_sde import ERSDE
from .first_hitting import FirstHitting
from .langevin import ReverseDiffusion
from .multistep import Adams, DPMpp2M, UniPC
from .ode import RK4, DPMpp2S, Euler, Heun, Midpoint
from .product import ProductSolver
from .rates import TauLeaping, TokenEuler
from .remasking import Remasking
from .sde import SDE2, EulerMaruyama
from .sde_multistep import DPMpp2MSDE, DPMpp3MSDE, SASolver

SOLVERS: Registry[Callable[..., Solver]] = Registry(
    "solver",
    {
        # Deterministic, one step.
        "euler": Euler,
        "ddim": DDIM,
        "midpoint": Midpoint,
        "heun": Heun,
        "dpmpp-2s": DPMpp2S,
        "rk4": RK4,
        "dopri5": Dopri5,
        # Deterministic, many steps.
        "dpmpp-2m": DPMpp2M,
        "dpmpp-3m": partial(Adams, order=3),
        "adams": Adams,
        "unipc-2": partial(UniPC, steps=2),
        "unipc-3": partial(UniPC, steps=3),
        "deis": DEIS,
        "asinh-adams": AsinhAdams,
        # Stochastic.
        "ancestral": Ancestral,
        "ddpm": DDPM,
        "euler-maruyama": EulerMaruyama,
        "reverse-diffusion": ReverseDiffusion,
        "langevin": partial(ReverseDiffusion, corrector_steps=1),
        "edm-churn": EDMChurn,
        "sde-2": SDE2,
        "dpmpp-2m-sde": DPMpp2MSDE,
        "dpmpp-3m-sde": DPMpp3MSDE,
        "sa-solver": SASolver,
        "er-sde": ERSDE,
        "asinh-sde": partial(AsinhAdams, steps=2, scale=1.0, eta=0.5),
    },
)

TOKEN_SOLVERS: Registry[Callable[..., Solver]] = Registry(
    "solver of tokens",
    {
        "ancestral": Ancestral,
        "euler": TokenEuler,
        "tau-leaping": TauLeaping,
        "corrected": Corrected,
        # Of masked models.
        "first-hitting": FirstHitting,
        "cached": CachedAncestral,
        "remasking": Remasking,
        "confidence": Confidence,
    },
)


def solvers_of(process: Process) -> Registry[Callable[..., Solver]]:
    """The table of solvers that serve a process: those of symbols, or those of numbers."""
    return TOKEN_SOLVERS if isinstance(process, Symbols) else SOLVERS


__all__ = [
    "DDIM",
    "DDPM",
    "DEIS",
    "ERSDE",
    "RK4",
    "SDE2",
    "SOLVERS",
    "TOKEN_SOLVERS",
    "Adams",
    "Ancestral",
    "AsinhAdams",
    "CachedAncestral",
    "Confidence",
    "Corrected",
    "DPMpp2M",
    "DPMpp2MSDE",
    "DPMpp2S",
    "DPMpp3MSDE",
    "Dopri5",
    "EDMChurn",
    "Euler",
    "EulerMaruyama",
    "FirstHitting",
    "Heun",
    "Midpoint",
    "ProductSolver",
    "Remasking",
    "ReverseDiffusion",
    "SASolver",
    "Solver",
    "TauLeaping",
    "TokenEuler",
    "UniPC",
    "sample",
    "solvers_of",
]
