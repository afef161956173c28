"""Series conditional on what a csv says of them: a number and a class, in samples and in forecasts."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from pellucid.generate import sample
from pellucid.model import load
from pellucid.series.forecast import forecast

from ..small import trained

LENGTH = 6


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Series that stand at level + class, with a little noise: the level is a covariate, the class a label."""
    folder = tmp_path_factory.mktemp("conditions")
    rng = np.random.default_rng(0)
    with (folder / "x.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["series", "label", "level", "step", "x"])
        for i in range(400):
            level, high = rng.uniform(-2, 2), i % 2
            values = level + 3 * high + 0.1 * rng.standard_normal(LENGTH)
            writer.writerows([i, ("low", "high")[high], f"{level:.3f}", s, f"{v:.4f}"] for s, v in enumerate(values))
    changes = {
        "data__source": str(folder / "x.csv"),
        "data__kind": "series",
        "data__conditions": {"level": "vector"},
        "training__budget": "9600-items",
        "training__lr": 0.005,
        "training__label_dropout": 0.1,
        "sampling__steps": 12,
        "sampling__guidance": 1.0,
    }
    return load(trained(folder / "run", **changes).run.path)


def test_samples_follow_covariate_and_class(model):
    """The mean of a sample is level + 3 class to 0.5 (root mean square): the spread of levels and classes is 1.9."""
    assert [part.name for part in model.card.schema] == ["label", "level"]
    levels = [-1.5, 0.0, 1.5, -1.5, 0.0, 1.5]
    labels = ["low"] * 3 + ["high"] * 3
    x = sample(model, 60, label=labels, where={"level": levels}, force=True)
    means = torch.from_numpy(np.asarray(model.decode(x))).mean((1, 2)).reshape(10, 6).mean(0)
    expected = torch.tensor(levels) + 3 * torch.tensor([0.0, 0, 0, 1, 1, 1])
    assert (means - expected).square().mean().sqrt() < 0.5


def test_forecasts_take_them_too(model):
    """One value is seen, which fits both as they are told: each series is asked with its own class and level."""
    past = torch.tensor([[[1.5]], [[1.5]]])
    told = forecast(model, past, LENGTH - 1, samples=8, label=["low", "high"], where={"level": [1.5, -1.5]})
    assert (told.mean.mean((1, 2)) - 1.5).abs().max() < 0.7
