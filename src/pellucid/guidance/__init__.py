"""Guidance: denoiser to denoiser. It runs under every solver and with every restoration."""

from __future__ import annotations

from collections.abc import Callable

from ..foundations.registry import Registry
from .auto import AutoGuided
from .base import Guidance
from .classifier import ClassifierGuided
from .classifier_free import Guided
from .composed import Composed
from .effect import guided_normal, tilted_normal
from .noisy_classifier import NoisyClassifier
from .pair import Pair
from .projected import Projected
from .rescaled import Rescaled
from .train_classifier import train_noisy_classifier

GUIDANCES: Registry[Callable[..., Guidance]] = Registry(
    "guidance",
    {
        "classifier-free": Guided,
        "rescaled": Rescaled,
        "projected": Projected,
        # These need more than the denoiser: a weaker one, a classifier, several conditions.
        "auto": AutoGuided,
        "classifier": ClassifierGuided,
        "composed": Composed,
    },
)

# Those that a model with labels needs nothing else for.
PAIRS: Registry[Callable[..., Pair]] = Registry(
    "guidance", {"classifier-free": Guided, "rescaled": Rescaled, "projected": Projected}
)

__all__ = [
    "GUIDANCES",
    "PAIRS",
    "AutoGuided",
    "ClassifierGuided",
    "Composed",
    "Guidance",
    "Guided",
    "NoisyClassifier",
    "Pair",
    "Projected",
    "Rescaled",
    "guided_normal",
    "tilted_normal",
    "train_noisy_classifier",
]
