"""The audit of a model that knows its training set by heart, of one that knows the law, and of one between them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.audit.whole import audit
from pellucid.config import ProcessSettings, SamplingSettings
from pellucid.data.arrays import Dataset, item_hashes
from pellucid.data.codecs import PointsCodec
from pellucid.denoisers import X0, NetworkDenoiser
from pellucid.foundations.errors import UserError
from pellucid.model import Card, Model, make_process
from pellucid.nn import NetworkSpec
from pellucid.oracles import MixtureOracle, finite_oracle

DIM = 6
CENTRES = 3 * torch.randn(8, DIM, generator=torch.Generator().manual_seed(99))
CODEC = PointsCodec((0.0,) * DIM, (1.0,) * DIM)
SETTINGS = ProcessSettings(schedule="edm", target="x0", sigma_data=3.0)


def points(num: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return CENTRES[torch.randint(8, (num,), generator=generator)] + torch.randn(num, DIM, generator=generator)


def dataset(x: Tensor) -> Dataset:
    return Dataset(x.numpy(), None, (), CODEC, "points")


class Exact(nn.Module):
    """An oracle as a network: it is told log(sigma)/4 of a schedule with alpha = 1."""

    def __init__(self, law: MixtureOracle) -> None:
        super().__init__()
        self.law = law
        self.place = nn.Parameter(torch.zeros(()))  # says where the model is

    def forward(self, x: Tensor, c: Tensor, **cond: Any) -> Tensor:
        t = self.law.process.schedule.time(-8 * c.double()).to(x)
        return self.law(x, t)


def model(law: MixtureOracle, facts: dict[str, Any] | None = None) -> Model:
    denoiser = NetworkDenoiser(Exact(law), make_process(SETTINGS), X0()).eval()
    spec = NetworkSpec("mlp", (DIM,))
    card = Card(spec, SETTINGS, CODEC, (), SamplingSettings(steps=16), facts or {})
    return Model(denoiser, card, "0" * 64, "oracle")


def memoriser(x: Tensor, **facts: Any) -> Model:
    return model(finite_oracle(make_process(SETTINGS), x), facts)


def test_the_memoriser_fails_on_every_count() -> None:
    train, held = points(150, 0), points(150, 1)
    found = audit(memoriser(train), dataset(train), dataset(held), num=200, statistics=("loss", "pia"))
    assert found.copies["values"].rate.value == 1.0
    assert found.membership["loss"][0].auc.value >= 0.99
    assert set(found.failed) == {"copies", "membership", "extraction"}
    assert "It copies" in found.sentences()["copies"]


def test_the_exact_law_passes_and_says_what_it_would_have_seen() -> None:
    law = MixtureOracle(make_process(SETTINGS), CENTRES, torch.ones(8))
    failed = []
    for seed in range(4):
        train, held = dataset(points(150, 2 * seed)), dataset(points(150, 2 * seed + 1))
        found = audit(model(law), train, held, num=100, statistics=("loss",), seed=seed)
        failed += found.failed
    # Copies and membership alarm in 2.5 % each, four times: one alarm has a chance of one in six, two of 1 in 70.
    assert len(failed) <= 1
    assert "would have been seen with 98 % probability" in found.sentences()["copies"]
    assert found.to_json()["copies"]["values"]["false_alarm_rate"] == 0.01


def test_canaries_are_told_by_how_often_they_were_put_in() -> None:
    base, canaries, held = points(150, 0), points(2, 7), points(150, 1)
    train = torch.cat([base, canaries[:1], canaries[1:].expand(80, DIM)])
    facts = [
        {"hash": f"{int(each):016x}", "repeats": repeats}
        for each, repeats in zip(item_hashes(canaries.numpy()), (1, 80), strict=True)
    ]
    found = audit(memoriser(train, canaries=facts), dataset(train), dataset(held), num=120, statistics=("loss",))
    assert found.canaries is not None
    assert [(count, told.value) for count, told, _ in found.canaries.rows()] == [(1, 1.0), (80, 1.0)]
    # 120 draws of 231 items: the repeated one comes 41 times on average, below 10 never (e^-17). All its 50 nearest
    # training items are itself, so that it would be none the nearer to one if repeats were not taken together.
    assert found.canaries.copied[1] > 10
    assert found.duplicates.groups[0] == tuple(range(151, 231))


def test_items_on_both_sides_are_refused_or_left_out() -> None:
    train, held = points(150, 0), points(150, 1)
    both = torch.cat([held, train[:7]])
    with pytest.raises(UserError, match="7 of 157 held-out items are in the training set too"):
        audit(memoriser(train), dataset(train), dataset(both), num=4)
    found = audit(memoriser(train), dataset(train), dataset(both), num=4, statistics=("loss",), allow_overlap=True)
    assert found.num_held == 150
    assert found.notes == ("7 held-out items were in the training set: left out",)


def test_another_scale_is_refused() -> None:
    train = points(20, 0)
    other = Dataset(train.numpy(), None, (), PointsCodec((1.0,) * DIM, (1.0,) * DIM), "other")
    with pytest.raises(UserError, match="another scale"):
        audit(memoriser(train), dataset(train), other)


def test_few_held_out_items_state_a_higher_rate() -> None:
    train, held = points(60, 0), points(24, 1)
    found = audit(memoriser(train), dataset(train), dataset(held), num=8, statistics=("loss",))
    assert found.copies["values"].level == pytest.approx(1 / 25)
    assert "24 held-out items state false-alarm rates down to 4 % only" in found.notes
    assert found.copies["values"].cut == 1  # the smallest of the held-out ratios
