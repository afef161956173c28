"""Models of other kinds: texts, tables, energies, and those that make nothing."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.config import nested, resolve
from pellucid.data.open import open_dataset
from pellucid.evaluation.evaluated import evaluate
from pellucid.evaluation.page import page, write
from pellucid.evaluation.result import read
from pellucid.evaluation.subject import subject
from pellucid.evaluation.text_numbers import real_texts, rows_of
from pellucid.foundations.errors import UserError
from pellucid.metrics.base import Scored
from pellucid.report import render
from pellucid.train.start import begin

from ..small import Watcher
from ..small_tables import trained_table, write_table
from ..small_texts import text_settings

SYLLABLES = ["an", "bob", "abba", "nab", "bana", "ob", "no", "bo"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 512 words of three syllables."""
    folder = tmp_path_factory.mktemp("texts")
    file = folder / "words.txt"
    file.write_text("\n".join("".join(parts) for parts in itertools.product(SYLLABLES, repeat=3)))
    return begin(text_settings(data__source=str(file)), folder / "run", observer=Watcher()).run.path


def by_name(numbers: tuple[Scored, ...]) -> dict[str, Scored]:
    return {scored.name: scored for scored in numbers}


def test_texts(texts: Path, tmp_path: Path) -> None:
    found = evaluate(texts, num=100, items=20, folder=tmp_path)
    numbers = by_name(found.numbers)
    assert {"novel_texts", "ngram_distance", "compression_distance", "kid", "coverage"} <= set(numbers)
    assert numbers["novel_texts"].floor == 1.0  # a held-out text is no training text, for its copies go with it
    # A model that has seen 256 words makes noise, and the runs of its letters tell.
    assert numbers["ngram_distance"].value > numbers["ngram_distance"].floor + 0.1
    assert "valid_words" in found.refused  # texts of one word each
    assert found.likelihood[0].unit == "bits/char"
    table = next(words for words in found.words if words.title == "Bits per character")
    assert {"this model (upper bound)", "bigram model"} <= {row[0] for row in table.rows}
    again = read(write(found, tmp_path).with_name("evaluation.json"))
    assert again is not None
    assert again.to_json() == found.to_json()
    with pytest.raises(UserError, match="leave out --features"):
        evaluate(texts, num=100, features="pca")
    with pytest.raises(UserError, match="hold image items"):
        evaluate(texts, "digits8", 100)


def test_real_texts_in_the_models_place(texts: Path, choose: Any, tmp_path: Path) -> None:
    contestant = subject(texts)
    real = real_texts(contestant, None)
    codec = contestant.model.codec
    assert real.train is not None
    half = real.train[::2]
    rows, _ = rows_of(half, real)
    assert rows.made.shape[1] == rows.real.shape[1]
    choose(codec.rows(half), None)
    numbers = by_name(evaluate(texts, num=len(half), items=0).numbers)
    assert numbers["novel_texts"].value == 0.0
    assert numbers["c2st_knn"].low <= 0.5 <= numbers["c2st_knn"].high + 0.05
    # What is given apart from the run: training texts are left out of it.
    more = tmp_path / "more.txt"
    fresh = [text + "no" for text in real.held]
    more.write_text("\n".join([*real.train, *fresh]))
    given = real_texts(contestant, open_dataset(str(more)))
    assert set(given.held) == set(fresh) - set(real.train)
    assert f"{len(real.train):,} of " in given.notes[-1]


def test_rows_of_a_table(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    file = write_table(tmp_path / "table.csv", rows=200)
    run = trained_table(tmp_path, data__source=str(file), data__holdout=0.3).run.path
    found = evaluate(run, num=100, items=8, folder=tmp_path / "out")
    numbers = by_name(found.numbers)
    assert {"column_distance", "table_c2st", "nearer_to_training", "kid", "precision"} <= set(numbers)
    assert numbers["column_distance"].num_generated == 100
    assert found.likelihood[0].unit == "bits/row"
    assert found.table is not None
    html = render(page(found, tmp_path / "out"))
    assert "What the model is worth" in html  # the section of the measures of tables
    with pytest.raises(UserError, match="did you mean 'column_distance'"):
        evaluate(run, num=100, metrics=["column_distances"])
    # The same file as data: what was trained on is left out, and the rest is what was held out.
    again = evaluate(run, str(file), 100, items=0, metrics=["kid"], folder=tmp_path / "out")
    assert again.num_real == found.num_real
    assert by_name(again.numbers)["kid"].value == pytest.approx(numbers["kid"].value, abs=1e-12)


def test_what_makes_nothing_is_refused(tmp_path: Path) -> None:
    settings = {
        "kind": "vq",
        "data.source": "digits8",
        "network.width": 8,
        "training.budget": "64-items",
        "training.batch_size": 32,
        "training.pictures": 0,
        "autoencoder.codes": 16,
    }
    run = begin(resolve([("test", nested(settings))]), tmp_path / "vq", observer=Watcher()).run.path
    with pytest.raises(UserError, match=r"code book and no law of its codes.*pellucid train prior"):
        evaluate(run, num=32)


def test_points_of_another_unit(tmp_path: Path) -> None:
    settings = {
        "kind": "ebm",
        "recipe": "ebm",
        "data.source": str(tmp_path / "points.npy"),
        "training.budget": "256-items",
        "training.pictures": 0,
        "network.width": 8,
    }
    points = np.random.RandomState(0).randn(300, 2).astype(np.float32) * [1, 100] + [0, 1000]
    np.save(tmp_path / "points.npy", points.astype(np.float32))
    run = begin(resolve([("test", nested(settings))]), tmp_path / "run", observer=Watcher()).run.path
    other = np.random.RandomState(1).randn(100, 2) * [1, 0.1] + [0, 1.0]  # the second column in thousands
    np.save(tmp_path / "other.npy", other.astype(np.float32))
    with pytest.raises(UserError, match=r"column 1 of .*another unit"):
        evaluate(run, str(tmp_path / "other.npy"), 64, items=0)
    more = np.random.RandomState(2).randn(100, 2) * [1, 100] + [0, 1000]
    np.save(tmp_path / "more.npy", more.astype(np.float32))
    found = evaluate(run, str(tmp_path / "more.npy"), 64, items=0, metrics=["kid"], folder=tmp_path / "out")
    assert [shown.file for shown in found.pictures] == ["scatter.png"]
    with pytest.raises(UserError, match="points items: ask for pca"):
        evaluate(run, str(tmp_path / "more.npy"), 64, features="efficientnet")
    with pytest.raises(UserError, match="have no steps"):
        evaluate(run, str(tmp_path / "more.npy"), 64, settings={"steps": 4})
