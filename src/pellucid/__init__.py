"""pellucid: diffusion models one can trust.

Train a denoiser on your own data, then put it to every use. Names are imported when first used, so that
`import pellucid` costs little.

>>> import pellucid as pl
>>> pl.SOLVERS["heun"]()
Heun()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PLACES = {
    "GRIDS": "processes.times",
    "SCHEDULES": "processes.schedules",
    "SOLVERS": "solvers",
    "TARGETS": "denoisers",
    "WEIGHTINGS": "processes.weightings",
    "RECIPES": "recipes",
    "Denoiser": "denoisers",
    "Gaussian": "processes.gaussian",
    "Guided": "guidance",
    "MixtureOracle": "oracles",
    "Model": "model",
    "NetworkDenoiser": "denoisers",
    "NetworkSpec": "nn",
    "Stream": "foundations.rng",
    "UserError": "foundations.errors",
    "bits_per_dim": "likelihood",
    "finite_oracle": "oracles",
    "gaussian_oracle": "oracles",
    "inspect": "data.inspect",
    "load": "model",
    "log_prob": "score",
    "open_dataset": "data.open",
    "sample": "generate",
    "save": "model",
    "vlb": "score",
    "wrap": "denoisers",
}

if TYPE_CHECKING:
    from .data.inspect import inspect
    from .data.open import open_dataset
    from .denoisers import TARGETS, Denoiser, NetworkDenoiser, wrap
    from .foundations.errors import UserError
    from .foundations.rng import Stream
    from .generate import sample
    from .guidance import Guided
    from .likelihood import bits_per_dim
    from .model import Model, load, save
    from .nn import NetworkSpec
    from .oracles import MixtureOracle, finite_oracle, gaussian_oracle
    from .processes.gaussian import Gaussian
    from .processes.schedules import SCHEDULES
    from .processes.times import GRIDS
    from .processes.weightings import WEIGHTINGS
    from .recipes import RECIPES
    from .score import log_prob, vlb
    from .solvers import SOLVERS

__all__ = [
    "GRIDS",
    "RECIPES",
    "SCHEDULES",
    "SOLVERS",
    "TARGETS",
    "WEIGHTINGS",
    "Denoiser",
    "Gaussian",
    "Guided",
    "MixtureOracle",
    "Model",
    "NetworkDenoiser",
    "NetworkSpec",
    "Stream",
    "UserError",
    "bits_per_dim",
    "finite_oracle",
    "gaussian_oracle",
    "inspect",
    "load",
    "log_prob",
    "open_dataset",
    "sample",
    "save",
    "vlb",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
    raise AttributeError(f"module 'pellucid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
