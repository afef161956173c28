"""Guiding a model by another: away from what a weaker one would do, or towards what a classifier knows."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from .classifiers.model import CLASSIFIER, ClassifierModel, load_classifier
from .denoisers import Denoiser, NetworkDenoiser
from .foundations.errors import UserError
from .guidance import AutoGuided, ClassifierGuided
from .model import Guide, Model, load, read
from .processes.base import Process


def with_guide(model: Model, guide: str | Path | Model | ClassifierModel) -> Model:
    """The model, guided by another in everything it is used for: sampling, `auto_steps`, restoration.

    A weaker model of the same data (trained for less time, or smaller) makes autoguidance, weak + w (strong - weak),
    under the same conditions, or under none where the weaker one knows none. A classifier of noisy data makes
    classifier guidance, the unconditional estimate and w sigma^2/alpha grad log p(label given x_t): the classifier's
    classes are then what the model can be asked for, and w = 1 is Bayes' rule.

    Args:
        model: from `load`.
        guide: from `load` or `load_classifier`, or where one is read from.

    Raises:
        UserError: a guide of other items, of another schedule or with other conditions.
    """
    if isinstance(guide, str | Path):
        classifier = read(guide).kind == CLASSIFIER
        guide = load_classifier(guide, device=model.device) if classifier else load(guide, device=model.device)
    if isinstance(guide, ClassifierModel):
        network = guide.for_model(model)
        around = partial(_classified, network)
        card = replace(model.card, label_names=guide.card.label_names)
        return replace(model, card=card, guide=Guide("classifier", guide.origin, guide.weights_hash, around))
    if guide.card.codec.to_json() != model.card.codec.to_json():
        raise UserError(
            f"{guide.origin} makes items of the shape {guide.shape} and {model.origin} of {model.shape}, or they are "
            "scaled otherwise: a guide is trained on the same data"
        )
    if guide.card.schema not in ((), model.card.schema):
        told = [", ".join(part.name for part in each.card.schema) or "nothing" for each in (guide, model)]
        raise UserError(
            f"{guide.origin} is asked for {told[0]} and {model.origin} for {told[1]}, or in other words: a guide "
            "understands the same conditions, or none"
        )
    weaker: Denoiser = guide.denoiser if guide.card.schema else Unconditional(guide.denoiser)
    AutoGuided(model.denoiser, 1.0, weaker=weaker)  # another schedule is refused here
    return replace(model, guide=Guide("auto", guide.origin, guide.weights_hash, partial(_automatic, weaker)))


class Unconditional:
    """A denoiser that is told no conditions, whatever it is called with."""

    def __init__(self, denoiser: NetworkDenoiser) -> None:
        self.denoiser = denoiser

    @property
    def process(self) -> Process:
        """That of the denoiser."""
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, *args: Any, **cond: Any) -> Tensor:
        """The estimate without conditions, (B, *)."""
        estimate: Tensor = self.denoiser(x, t)
        return estimate


def _automatic(weaker: Denoiser, denoiser: Denoiser, scale: float, low: float, high: float) -> Denoiser:
    return AutoGuided(denoiser, scale, {}, low, high, weaker=weaker)


def _classified(classifier: Any, denoiser: Denoiser, scale: float, low: float, high: float) -> Denoiser:
    return ClassifierGuided(denoiser, scale, {}, low, high, classifier=classifier)
