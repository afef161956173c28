"""How near samples are to held-out items, in features that are the same for all models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Dataset
from ..foundations.measured import Measured, proportion
from ..metrics.base import Scored
from ..metrics.classifier import Classifier, predict, train_classifier
from ..metrics.features import Features, features_of, with_presence
from ..metrics.summary import measure
from .contestants import Contestant, Drawn

METRICS = ("kid", "precision", "recall")


@dataclass(frozen=True, eq=False)
class Judge:
    """Features and a classifier, made of real items alone.

    Attributes:
        real: held-out items, (M, *), in their codec's scale.
        features: of items, with a root mean square of 1 on the real ones.
        words: what the features are.
        classifier: trained on training items; None where they have no labels, or are no pictures.
        label_names: its classes.
        accuracy: its own, on the held-out items.
    """

    real: Tensor
    features: Features
    words: str
    classifier: Classifier | None = None
    label_names: tuple[str, ...] = ()
    accuracy: Measured | None = None

    @classmethod
    def of(cls, held: Dataset, train: Dataset | None, num: int, *, seed: int = 0) -> Judge:
        """For samples of `num` items; with a classifier where training items have labels and are pictures."""
        real, truth = held.fetch(np.arange(len(held)))
        series = held.codec.kind == "series"

        def rows(x: Tensor) -> Tensor:
            return with_presence(x) if series else x

        words, raw = features_of(rows(real), num)
        words = f"{words}, of values and which are there" if series else words
        scale = raw(rows(real)).double().square().mean().sqrt().clamp(min=1e-12)

        def features(x: Tensor) -> Tensor:
            return raw(rows(x)).double() / scale

        if train is None or train.labels is None or truth is None or len(held.shape) != 3:
            return cls(real, features, words)
        if train.label_names != held.label_names:
            return cls(real, features, words)
        x, labels = train.fetch(np.arange(len(train)))
        assert labels is not None
        classifier = train_classifier(x, labels, len(train.label_names), seed=seed)
        right = int((predict(classifier, real) == truth).sum())
        accuracy = proportion("classifier_accuracy", right, len(held))
        return cls(real, features, words, classifier, train.label_names, accuracy)

    def judge(self, contestant: Contestant, drawn: Drawn, *, seed: int = 0) -> Quality:
        """The metrics of a model's samples, and where they were asked for by label whether they show it."""
        x = contestant.codec.encode(np.asarray(drawn.samples))
        found, refused = measure(self.features(x), self.features(self.real), names=METRICS, seed=seed)
        agreement = None
        if self.classifier is not None and drawn.labels is not None:
            place = {name: k for k, name in enumerate(self.label_names)}
            asked = [place.get(contestant.label_names[k], -1) for k in drawn.labels.tolist()]
            hits = predict(self.classifier, x) == torch.tensor(asked)
            agreement = proportion("label_agreement", int(hits.sum()), len(x))
        return Quality(found, refused, agreement)


@dataclass(frozen=True)
class Quality:
    """The metrics of samples by name, why some are missing, and the share that shows the label asked for."""

    metrics: Mapping[str, Scored]
    refused: Mapping[str, str]
    agreement: Measured | None
