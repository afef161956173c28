"""All measures at once: a fresh sample passes, simple laws and copies are told, few rows are refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from pellucid.data.table_codec import TableCodec
from pellucid.foundations.errors import UserError
from pellucid.metrics.table_impute import imputed
from pellucid.report import ReportData, render
from pellucid.tables.baselines import independent_columns
from pellucid.tables.measure import measure
from pellucid.tables.measures import Measures, mean_ratios
from pellucid.tables.page import picture, sections, verdicts

from ..metrics.table_cases import FIELDS, rows

CODEC = TableCodec(FIELDS)
TRAIN, HELD = (CODEC.pack(rows(num, seed)) for num, seed in ((200, 0), (60, 1)))


@pytest.fixture(scope="module")
def fresh() -> Measures:
    truth = np.random.default_rng(0).normal(size=50)
    draws = np.random.default_rng(1).normal(size=(50, 39))
    filled = {"x": imputed(truth, draws, {"mean": truth + 2, "neighbours": truth + 0.5}, name="x")}
    return measure(TRAIN, HELD, CODEC.pack(rows(260, 2)), CODEC, imputed=filled)


def test_rows_of_the_same_law_pass_and_beat_simple_laws(fresh: Measures) -> None:
    assert fresh.refused == {}
    numbers = {number.name: number for number in fresh.numbers}
    assert numbers["c2st"].low < 0.5 < numbers["c2st"].high
    assert numbers["nearer_to_training"].low < 0.5 < numbers["nearer_to_training"].high
    assert numbers["train_on_made_minus_real"].low < 0 < numbers["train_on_made_minus_real"].high
    assert all(number.low is not None and number.count for number in fresh.numbers)
    independent, copula = fresh.beside
    assert independent.association_difference.low > fresh.pairs.difference.value
    assert independent.c2st.low > fresh.c2st.value
    assert copula.association_difference.value < independent.association_difference.value
    told = verdicts(fresh)
    assert [verdict.passed for verdict in told[:2]] == [True, True]
    assert "independent columns 0." in told[0].text


def test_below_chance_and_without_measures_the_verdicts_say_so(fresh: Measures) -> None:
    below = replace(fresh, c2st=replace(fresh.c2st, value=0.4, low=0.35, high=0.45))
    assert verdicts(below)[0].text.endswith("more like these very rows than fresh real ones would be.")
    assert "Less than chance" not in verdicts(fresh)[0].text
    sure = replace(fresh.imputed["x"], coverage=replace(fresh.imputed["x"].coverage, value=0.7))
    told = {v.text[:6]: v.passed for v in verdicts(replace(fresh, imputed={"x": sure}))}
    assert told["Masked"] is False
    assert verdicts(Measures(FIELDS, 1, 1, 1)) == ()


def test_a_leak_is_what_simple_laws_do_not_show(fresh: Measures) -> None:
    assert fresh.leak is False
    near = replace(fresh.privacy.nearer, value=0.58, low=0.53, high=0.63)
    found = replace(fresh, privacy=replace(fresh.privacy, nearer=near))
    for value, leak in ((0.50, True), (0.54, False)):
        beside = tuple(replace(one, nearer=replace(near, value=value)) for one in fresh.beside)
        assert replace(found, beside=beside).leak is leak
    assert replace(found, beside=()).leak is True
    assert Measures(FIELDS, 1, 1, 1).leak is None


def test_copies_and_independent_columns_fail_where_they_should() -> None:
    copies = measure(TRAIN, HELD, TRAIN[:100], CODEC, baselines=False)
    assert copies.privacy.nearer.value == 1
    assert "100 of 100 are copies" in verdicts(copies)[-1].text
    assert not verdicts(copies)[-1].passed
    lost = measure(TRAIN, HELD, CODEC.pack(independent_columns(rows(200, 0), FIELDS, 260)), CODEC, baselines=False)
    assert lost.pairs.difference.low > lost.pairs.difference.floor
    assert [verdict.passed for verdict in verdicts(lost)[:2]] == [lost.c2st.value <= 0.65, False]


def test_the_same_rows_and_seed_give_the_same_numbers(fresh: Measures) -> None:
    again = measure(TRAIN, HELD, CODEC.pack(rows(260, 2)), CODEC, imputed=fresh.imputed)
    assert again.to_json() == fresh.to_json()


def test_what_is_too_small_is_refused_by_name_and_the_rest_measured() -> None:
    found = measure(TRAIN, HELD[:5], CODEC.pack(rows(100, 3)), CODEC, baselines=False)
    assert set(found.refused) == {"c2st on held-out rows", "utility", "privacy"}
    assert "5 held" in found.refused["privacy"]
    assert found.c2st is not None
    with pytest.raises(UserError, match="packed they are"):
        measure(TRAIN, HELD, TRAIN[:, :2], CODEC)
    with pytest.raises(UserError, match="no rows were made"):
        measure(TRAIN, HELD, TRAIN[:0], CODEC)
    with pytest.raises(UserError, match="unknown target column 'z'"):
        measure(TRAIN, HELD, TRAIN, CODEC, target="z")


def test_ratios_are_geometric_means(fresh: Measures) -> None:
    one = fresh.imputed["x"]
    both = mean_ratios({"x": one, "y": one})["mean"]
    assert both.value == pytest.approx(one.ratios["mean"].value)
    # Two columns that are independent halve the variance of the logarithm.
    assert np.log(both.high / both.low) == pytest.approx(
        np.log(one.ratios["mean"].high / one.ratios["mean"].low) / np.sqrt(2)
    )


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_the_page_shows_what_was_measured(fresh: Measures, tmp_path) -> None:
    told = sections(json.loads(json.dumps(fresh.to_json())))
    assert [section.title for section in told] == ["Columns", "What the model is worth", "Masked cells filled in"]
    page = _Words()
    page.feed(render(ReportData("t", numbers=fresh.numbers, verdicts=verdicts(fresh), sections=told)))
    for word in ("x", "y", "k", "Gaussian copula", "independent columns", f"{fresh.c2st.value:.3f} ("):
        assert any(found.startswith(word) for found in page.words), word
    (tmp_path / "p.png").write_bytes(picture(fresh))
    with Image.open(tmp_path / "p.png") as image:
        assert min(image.size) > 300
    assert picture(Measures(FIELDS, 1, 1, 1)) is None
