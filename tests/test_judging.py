"""Judging by a classifier: real items pass for what they are, and labels at random agree by chance alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pellucid.data.arrays import Dataset, split
from pellucid.data.builtin import digits8
from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import subseed
from pellucid.judging import Judgement, denoising_strip, judge
from pellucid.model import Model

from .small import untrained


class Recall(nn.Module):
    """A denoiser that has the real items by heart: it gives the one of the asked class (or, faithless, of any class)
    that is nearest to the noise."""

    def __init__(self, process: Any, items: Tensor, labels: Tensor, faithful: bool) -> None:
        super().__init__()
        self.process, self.items, self.labels, self.faithful = process, items, labels, faithful
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, t: Tensor, *, label: Tensor) -> Tensor:
        alpha, sigma = self.process.schedule.alpha(t), self.process.schedule.sigma(t)
        x = x / torch.sqrt(alpha**2 + sigma**2).to(x)
        far = torch.cdist(x.flatten(1), self.items.flatten(1))
        if self.faithful:
            far = far.masked_fill(label[:, None] != self.labels[None], float("inf"))
        else:
            # a class by lot for each noise, fixed by the noise itself; the nearest of all is too often of a few classes
            lot = torch.tensor([subseed(int(v), "lot") % 10 for v in (x.flatten(1)[:, 0] * 1e3).tolist()])
            far = far.masked_fill(lot[:, None] != self.labels[None], float("inf"))
        return self.items[far.argmin(1)]


@pytest.fixture(scope="module")
def data() -> tuple[Dataset, Dataset]:
    return split(digits8(), 0.2)


def recalling(train_set: Dataset, *, faithful: bool) -> Model:
    base = untrained((1, 8, 8), classes=10, guidance=1.0, solver="euler")
    x, labels = train_set.fetch(np.arange(len(train_set)))
    assert labels is not None
    card = replace(base.card, label_names=train_set.label_names, sampling=replace_steps(base, 1))
    denoiser = Recall(base.denoiser.process, x, labels, faithful)
    return Model(denoiser, card, "")  # type: ignore[arg-type]


def replace_steps(model: Model, steps: int) -> Any:
    return model.card.sampling.model_copy(update={"steps": steps})


def test_real_items_agree_and_random_ones_agree_by_chance(data: tuple[Dataset, Dataset]) -> None:
    train_set, held = data
    right = judge(recalling(train_set, faithful=True), train_set, held, 500)
    assert right.accuracy.value > 0.95  # of about 350 held-out items
    assert right.accuracy.count == len(held)
    assert right.agreement.value > 0.97  # items it was trained on
    assert (right.agreement.name, right.accuracy.name) == ("label_agreement", "classifier_accuracy")
    assert set(right.by_class) == set("0123456789")
    assert all(each.count == 50 for each in right.by_class.values())
    whole = sum(each.value * (each.count or 0) for each in right.by_class.values()) / 500
    assert right.agreement.value == pytest.approx(whole)
    assert right.labels.tolist() == [i % 10 for i in range(500)]
    assert all(seconds > 0 for seconds in right.timings.values())

    wrong = judge(recalling(train_set, faithful=False), train_set, held, 500)
    # 4.5 standard deviations of a binomial share: sqrt(0.1 * 0.9 / 500) = 0.0134
    assert abs(wrong.agreement.value - 0.1) < 0.06
    assert wrong.accuracy == right.accuracy  # the judge does not depend on whom it judges


def test_the_sentence_says_the_numbers(data: tuple[Dataset, Dataset]) -> None:
    from pellucid.foundations.measured import proportion

    judged = Judgement(
        agreement=proportion("label_agreement", 960, 1000),
        accuracy=proportion("classifier_accuracy", 490, 500),
        by_class={},
        samples=torch.zeros(0),
        labels=torch.zeros(0),
        guidance=1.5,
        timings={},
    )
    assert judged.sentence() == (
        "The classifier sees the asked class in 96.0 % of 1,000 samples at guidance 1.5; it is itself right on 98.0 % "
        "of 500 held-out real items."
    )


def test_what_cannot_be_judged_is_refused(data: tuple[Dataset, Dataset]) -> None:
    train_set, held = data
    with pytest.raises(UserError, match="pictures with labels, and a model trained on them"):
        judge(untrained((1, 8, 8), classes=0), train_set, held)
    with pytest.raises(UserError, match=r"train with data\.holdout above 0"):
        judge(untrained((1, 8, 8), classes=10), train_set, held.subset([]))


def test_the_strip_goes_from_noise_to_the_sample() -> None:
    from pellucid.generate import sample

    model = untrained((1, 8, 8), classes=4, guidance=1.0)
    strip = denoising_strip(model, looks=5)
    assert strip.shape == (5, 4, 1, 8, 8)
    # the last look is the sample itself: at t = 0 alpha is 1 and sigma 0
    assert torch.allclose(strip[-1], sample(model, 4), rtol=0, atol=1e-5)
    first = strip[0].flatten()
    # early looks have the data's root mean square, 0.5, to the sampling error of 256 values
    assert abs(first.square().mean().sqrt().item() - 0.5) < 0.15
