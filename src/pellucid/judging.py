"""How good a model is, judged by what it did not see.

Here: whether conditional samples show what was asked, by a classifier that is trained on the real items alone and whose
own accuracy on held-out real items stands beside the figure it gives.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .data.arrays import Dataset
from .foundations.errors import UserError
from .foundations.measured import Measured, proportion
from .generate import sample
from .metrics.classifier import predict, train_classifier
from .model import Model
from .sampling import labels_for

_DECODED = 256  # latents decoded together


@dataclass(frozen=True)
class Judgement:
    """What the classifier said.

    Attributes:
        agreement: the share of samples that show the class asked for.
        accuracy: the classifier's own, on held-out real items.
        by_class: the agreement of each class, by name.
        samples: the judged samples, (N, C, H, W), in the model's scale.
        labels: what they were asked to be, (N,).
        guidance: the scale they were made with.
        timings: seconds for each part.
    """

    agreement: Measured
    accuracy: Measured
    by_class: dict[str, Measured]
    samples: Tensor
    labels: Tensor
    guidance: float
    timings: dict[str, float]

    def sentence(self) -> str:
        """The result in words."""
        return (
            f"The classifier sees the asked class in {100 * self.agreement.value:.1f} % of {self.agreement.count:,} "
            f"samples at guidance {self.guidance:g}; it is itself right on {100 * self.accuracy.value:.1f} % of "
            f"{self.accuracy.count:,} held-out real items."
        )


def judge(
    model: Model,
    train_set: Dataset,
    held: Dataset,
    num: int = 1000,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Judgement:
    """Trains a classifier on the real items and asks it what conditional samples show.

    Args:
        model: a class-conditional model of pictures.
        train_set: the real items, with labels, to train the classifier on.
        held: real items it has not seen.
        num: samples, all classes in turn, at the model's default settings.
        seed: of the samples and of the classifier.
        progress: of the sampling.

    Raises:
        UserError: an unconditional model, items that are no pictures, or no held-out items.
    """
    if not model.card.label_names or train_set.labels is None or len(model.card.codec.items.shape) != 3:
        raise UserError("judging by a classifier needs pictures with labels, and a model trained on them")
    if not len(held):
        raise UserError("judging by a classifier needs held-out items: train with data.holdout above 0")
    started = time.perf_counter()
    x, labels = train_set.fetch(np.arange(len(train_set)))
    assert labels is not None
    classifier = train_classifier(x, labels, len(model.card.label_names), seed=seed)
    x, truth = held.fetch(np.arange(len(held)))
    assert truth is not None
    right = (predict(classifier, x) == truth).sum().item()
    accuracy = proportion("classifier_accuracy", int(right), len(held))
    trained = time.perf_counter()
    made = sample(model, num, seed=seed, force=True, progress=progress).cpu()
    asked = labels_for(model, range(num), None)
    assert asked is not None
    asked = asked.cpu()
    sampled = time.perf_counter()
    seen = predict(classifier, torch.cat([model.card.codec.outward(part) for part in made.split(_DECODED)]))
    hits = seen == asked
    by_class = {
        name: proportion(f"label_agreement[{name}]", int(hits[asked == k].sum()), int((asked == k).sum()))
        for k, name in enumerate(model.card.label_names)
        if bool((asked == k).any())
    }
    return Judgement(
        agreement=proportion("label_agreement", int(hits.sum()), num),
        accuracy=accuracy,
        by_class=by_class,
        samples=made,
        labels=asked,
        guidance=model.card.sampling.guidance,
        timings={"classifier": trained - started, f"sampling {num:,} items": sampled - trained},
    )


@torch.no_grad()
def denoising_strip(model: Model, *, seed: int = 0, looks: int = 9) -> Tensor:
    """One sample of each class (of a few, where there are many) on its way from noise to data.

    Returns:
        The states, (looks, classes, *), scaled to the data's own root mean square at every noise level.
    """
    classes = min(len(model.card.label_names) or 4, 10)
    states: list[Tensor] = []

    def keep(i: int, t: Tensor, s: Tensor, x: Tensor) -> None:
        alpha, sigma = model.denoiser.process.schedule.alpha(s), model.denoiser.process.schedule.sigma(s)
        power = model.card.process.sigma_data or 1.0
        states.append(x * (power / ((alpha * power) ** 2 + sigma**2).sqrt()))

    sample(model, classes, seed=seed, force=True, callback=keep, batch_size=classes)
    chosen = np.linspace(0, len(states) - 1, min(looks, len(states))).round().astype(int)
    return torch.stack([states[i] for i in chosen]).cpu()
