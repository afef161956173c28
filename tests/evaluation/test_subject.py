"""What samples are asked to be, and what is refused before any is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.comparison.contestants import draw
from pellucid.data.arrays import Dataset
from pellucid.data.codecs import PointsCodec
from pellucid.evaluation.subject import Classes, settings_of, subject
from pellucid.foundations.errors import UserError
from pellucid.model import load


def labelled(counts: dict[str, int]) -> Dataset:
    labels = np.repeat(np.arange(len(counts)), list(counts.values()))
    points = np.zeros((len(labels), 2), np.float32)
    return Dataset(points, labels, tuple(counts), PointsCodec((0.0, 0.0), (1.0, 1.0)), "labelled")


@pytest.mark.parametrize("num", [20, 100, 999])
def test_classes_are_as_frequent_as_in_training(num: int) -> None:
    counts = {"rare": 30, "often": 900, "some": 70}
    found = Classes.of(labelled(counts), ("often", "some", "rare"))
    assert found is not None
    made = np.array([found.label[:num].count(name) for name in ("often", "some", "rare")])
    # The discrepancy of multiples of the golden ratio is below (log n + 1) / n.
    assert np.abs(made / num - np.array([0.9, 0.07, 0.03])).max() < (np.log(num) + 1) / num
    assert found.shares == {"often": 0.9, "some": 0.07, "rare": 0.03}


def test_even_classes_take_turns() -> None:
    assert Classes.of(labelled({"a": 100, "b": 120}), ("a", "b")) is None
    assert Classes.of(None, ("a",)) is None
    points = labelled({"a": 5})
    assert Classes.of(points, ()) is None


def test_labels_are_those_that_were_asked_for(small_run: Path) -> None:
    model = load(small_run)
    asked = [3, 3, 7]
    drawn = draw(model, 5, first=4, label=asked, steps=2)
    assert drawn.labels is not None
    assert drawn.labels.tolist() == [asked[i % 3] for i in range(4, 9)]
    whole = draw(model, 9, label=asked, steps=2)
    # One level apart at most: the batches differ, and with them the order of sums.
    assert np.abs(whole.samples[4:].astype(int) - drawn.samples.astype(int)).max() <= 1


def test_settings(small_run: Path) -> None:
    model = load(small_run)
    told = settings_of(model, {"steps": 3, "guidance": 2.0}, 5)
    assert (told["steps"], told["guidance"], told["seed"]) == (3, 2.0, 5)
    with pytest.raises(UserError, match="did you mean 'heun'"):
        settings_of(model, {"solver": "huen"}, 0)
    other: Any = object()
    with pytest.raises(UserError, match="have no steps"):
        settings_of(other, {"steps": 3}, 0)
    with pytest.raises(UserError, match="no run"):
        subject(small_run.parent / "nothing")
