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

_MODULES = ("operators", "verify")
_PLACES = {
    "GRIDS": "processes.times",
    "GUIDANCES": "guidance",
    "OPERATORS": "operators",
    "RESTORERS": "restorers",
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
    "Restored": "restoration.restore",
    "Tiled": "restoration.tiles",
    "UserError": "foundations.errors",
    "bits_per_dim": "likelihood",
    "fill": "series.forecast",
    "finite_oracle": "oracles",
    "forecast": "series.forecast",
    "from_diffusers": "diffusers_models",
    "gaussian_oracle": "oracles",
    "audited": "audit.run",
    "evaluate": "evaluation.evaluated",
    "inspect": "data.inspect",
    "load": "model",
    "load_autoencoder": "autoencoders.model",
    "log_prob": "score",
    "open_dataset": "data.open",
    "restore": "restoration.restore",
    "sample": "generate",
    "save": "model",
    "shelf": "model",
    "vlb": "score",
    "wrap": "denoisers",
    "Categorical": "processes.categorical",
    "D3PM": "processes.d3pm",
    "MCMC": "mcmc",
    "TOKEN_SOLVERS": "solvers",
    "TableOracle": "tokens.oracles",
    "classify": "likelihood",
    "load_classifier": "classifiers.model",
    "load_ebm": "energies.ebm",
    "load_any": "readers",
    "load_table": "tables.model",
    "load_tokens": "tokens.model",
    "sample_rows": "tables.generate",
    "sample_tokens": "tokens.generate",
    "token_scores": "tokens.score",
}

if TYPE_CHECKING:
    from . import operators as operators
    from . import verify as verify
    from .audit.run import audited
    from .autoencoders.model import load_autoencoder
    from .classifiers.model import load_classifier
    from .data.inspect import inspect
    from .data.open import open_dataset
    from .denoisers import TARGETS, Denoiser, NetworkDenoiser, wrap
    from .diffusers_models import from_diffusers
    from .energies.ebm import load_ebm
    from .evaluation.evaluated import evaluate
    from .foundations.errors import UserError
    from .foundations.rng import Stream
    from .generate import sample
    from .guidance import GUIDANCES, Guided
    from .likelihood import bits_per_dim, classify
    from .mcmc import MCMC
    from .model import Model, load, save, shelf
    from .nn import NetworkSpec
    from .operators import OPERATORS
    from .oracles import MixtureOracle, finite_oracle, gaussian_oracle
    from .processes.categorical import Categorical
    from .processes.d3pm import D3PM
    from .processes.gaussian import Gaussian
    from .processes.schedules import SCHEDULES
    from .processes.times import GRIDS
    from .processes.weightings import WEIGHTINGS
    from .readers import load_any
    from .recipes import RECIPES
    from .restoration.restore import Restored, restore
    from .restoration.tiles import Tiled
    from .restorers import RESTORERS
    from .score import log_prob, vlb
    from .series.forecast import fill, forecast
    from .solvers import SOLVERS, TOKEN_SOLVERS
    from .tables.generate import sample_rows
    from .tables.model import load_table
    from .tokens.generate import sample_tokens
    from .tokens.model import load_tokens
    from .tokens.oracles import TableOracle
    from .tokens.score import token_scores

__all__ = [
    "D3PM",
    "GRIDS",
    "GUIDANCES",
    "MCMC",
    "OPERATORS",
    "RECIPES",
    "RESTORERS",
    "SCHEDULES",
    "SOLVERS",
    "TARGETS",
    "TOKEN_SOLVERS",
    "WEIGHTINGS",
    "Categorical",
    "Denoiser",
    "Gaussian",
    "Guided",
    "MixtureOracle",
    "Model",
    "NetworkDenoiser",
    "NetworkSpec",
    "Restored",
    "Stream",
    "TableOracle",
    "Tiled",
    "UserError",
    "audited",
    "bits_per_dim",
    "classify",
    "evaluate",
    "fill",
    "finite_oracle",
    "forecast",
    "from_diffusers",
    "gaussian_oracle",
    "inspect",
    "load",
    "load_any",
    "load_autoencoder",
    "load_classifier",
    "load_ebm",
    "load_table",
    "load_tokens",
    "log_prob",
    "open_dataset",
    "restore",
    "sample",
    "sample_rows",
    "sample_tokens",
    "save",
    "shelf",
    "token_scores",
    "vlb",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _PLACES:
        return getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
    raise AttributeError(f"module 'pellucid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
