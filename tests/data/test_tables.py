"""Tables against what their cells say: shares, ranges, missing cells, and errors that name the place."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from scipy.stats import kstest

from pellucid.data.table_codec import TableCodec
from pellucid.data.table_schema import Field, infer
from pellucid.data.tables import open_table, read_rows, write_table
from pellucid.foundations.errors import UserError


def table(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def normal_grid(num: int) -> np.ndarray:
    """Scores that are spread as a standard normal variable is, without chance."""
    return ndtri((np.arange(num) + 0.5) / num)


def test_an_atom_keeps_its_share_and_the_rest_its_law() -> None:
    random = np.random.default_rng(0)
    amounts = np.where(random.random(4000) < 0.3, 0.0, np.round(random.exponential(50.0, 4000), 2) + 0.01)
    field = infer("amount", [f"{value:.2f}" for value in amounts])
    assert field.kind == "number"
    made = field.restored(normal_grid(100_000))
    # The atom's step is that of the data; the way to its neighbour, half of a cell's share long, rounds to it in part.
    assert np.mean(made == 0.0) == pytest.approx(np.mean(amounts == 0.0), abs=0.5 / 4000)
    # Between its 512 quantiles the law is linear: F is off by at most one part in 512.
    grid = np.quantile(amounts, np.linspace(0.35, 0.99, 20))
    shares = np.array([np.mean(made <= value) - np.mean(amounts <= value) for value in grid])
    assert np.abs(shares).max() < 1 / 512


def test_scores_of_a_continuous_column_are_standard_normal() -> None:
    values = np.random.default_rng(1).gamma(0.7, 3.0, 5000)
    field = infer("size", [f"{value:.6f}" for value in values])
    # The empirical law against itself: the distance can only come of the interpolation, 1/512, and of ties.
    assert kstest(field.scores(values), "norm").statistic < 1 / 512 + 1 / 5000


def test_integers_of_few_values_come_back_with_their_exact_shares() -> None:
    counts = {0: 500, 1: 250, 2: 125, 3: 60, 5: 40, 8: 15, 13: 5, 21: 3, 34: 1, 55: 1, 89: 1}
    cells = [str(value) for value, count in counts.items() for _ in range(count)]
    field = infer("siblings", cells)
    assert field.kind == "integer"
    made = field.restored(normal_grid(200_000))
    for value, count in counts.items():
        assert np.mean(made == value) == pytest.approx(count / len(cells), abs=1e-5)


@pytest.mark.parametrize("cells", [["0.0"] * 30 + [f"{v:.1f}" for v in np.linspace(0.3, 9, 88)], ["1", "2", "2", "7"]])
def test_whatever_lies_in_the_span_of_a_cell_is_written_as_it(cells: list[str]) -> None:
    field = infer("x", cells, "number" if "." in cells[0] else None)
    values = np.array([float(cell) for cell in cells])
    low, high = field.spans(values)
    for share in (1e-6, 0.3, 0.99, 1 - 1e-6):
        assert field.restored(ndtri(low + share * (high - low))).tolist() == values.tolist()
    # The spans of all values that can be written are a partition of (0, 1): the probabilities of a cell sum to 1.
    grid = np.arange(-10, 200) * 10.0**-field.decimals
    low, high = field.spans(grid)
    assert (high - low).sum() == pytest.approx(1, abs=1e-12)
    assert (high - low)[grid < -1e-9].sum() == 0
    assert [bound.tolist() for bound in field.spans(np.array([np.nan]))] == [[0.0], [1.0]]


def test_integers_that_share_a_divisor_are_made_as_its_multiples() -> None:
    """Weights read to the next 25 grams: what lies between two of them is not a weight that the table could have."""
    random = np.random.default_rng(0)
    weights = 25 * random.integers(100, 250, size=400)
    field = infer("weight", [str(w) for w in weights])
    assert (field.kind, field.step) == ("integer", 25)
    made = field.restored(random.normal(size=1000))
    assert (made % 25 == 0).all()
    assert len(set(made.tolist()) - set(weights.tolist())) > 0  # also multiples that were not seen
    low, high = field.spans(np.array([2500.0 + 25 * k for k in range(150)]))
    # Spans of neighbouring multiples touch: together they are all of [0, 1], and nothing twice.
    np.testing.assert_allclose(low[1:], high[:-1], atol=1e-12)
    assert (low[0], high[-1]) == (0, 1)
    assert Field.from_json(field.to_json()) == field
    assert "in steps of 25" in field.sentence()
    assert infer("other", [str(w) for w in (*weights, 2513)]).step == 1
    assert infer("few", [str(w) for w in 10 * (weights // 500)]).step == 1  # of few values it may be chance


def test_scores_beyond_the_range_stay_in_it() -> None:
    field = infer("age", ["3.5", "80", "41.25", "17"])
    assert field.restored(np.array([-40.0, 40.0])).tolist() == [3.5, 80.0]
    assert [field.write(value) for value in (3.5, 80.0, 41.25)] == ["3.5", "80", "41.25"]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1.5", "2", "3"], "number"),
        (["1", "2", "300"], "integer"),
        (["0", "1"] * 20, "category"),
        (["2024-01-31", "2023-12-01"], "date"),
        (["cat", "dog"] * 3, "category"),
        (["x"] * 5, "constant"),
        (["", "NA", "?"], "left out"),
        ([f"name {i}" for i in range(30)], "left out"),
    ],
)
def test_kinds_are_read_off_the_cells(cells: list[str], kind: str) -> None:
    assert infer("column", cells).kind == kind


def test_every_cell_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = [
        f"{'cat' if i % 3 else 'dog'},{'' if i % 5 == 0 else i * 7 % 101},{i / 8:.3f},2024-{1 + i % 12:02d}-17,"
        f"{'' if i % 7 == 0 else 'red'},same"
        for i in range(60)
    ]
    path = table(tmp_path / "t.csv", "animal,legs,weight,born,colour,constant", rows)
    ds = open_table(path)
    assert isinstance(ds.codec, TableCodec)
    assert [name for name, _ in ds.codec.alphabets] == ["animal", "colour", "legs?"]
    packed = ds.codec.decode(ds.fetch(np.arange(len(ds)))[0])
    write_table(tmp_path / "back.csv", ds.codec, packed)
    assert list(csv.reader((tmp_path / "back.csv").read_text().splitlines())) == [
        row.split(",") for row in path.read_text().splitlines()
    ]
    assert TableCodec.from_json(ds.codec.to_json()) == ds.codec


def test_ids_that_do_not_exist_become_the_nearest_that_do(tmp_path: Path) -> None:
    ds = open_table(table(tmp_path / "t.csv", "a,b", ["x,1.5", "y,2.5", "x,3.5", "y,0.5"]))
    assert ds.codec.decode(torch.tensor([[0.0, 7.2], [0.0, -3.0]]))[:, 1].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("a,b", ["1,2", "3"], "line 3: 1 cells where the header has 2"),
        ("a,a", ["1,2"], "two columns are called 'a'"),
        ("a,", ["1,2"], "a column has no name"),
        ("a,b", [], "no rows"),
        ("a", ["", "NA"], "no rows|no column to learn from"),
        ("a,b", ["x,", "x,"], "no column to learn from"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(tmp_path: Path, header: str, rows: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_table(table(tmp_path / "t.csv", header, rows))


def test_kinds_that_do_not_fit_are_refused_with_the_cell(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "a,b", ["1.5,x", "2,y", "3,x", "4,y"])
    with pytest.raises(UserError, match=r"no integer: a cell says 1\.5"):
        open_table(path, kinds={"a": "integer"})
    with pytest.raises(UserError, match="'b' is no number: a cell says 'x'"):
        open_table(path, kinds={"b": "number"})
    with pytest.raises(UserError, match="did you mean 'a'"):
        open_table(path, kinds={"aa": "number"})


def test_a_category_seen_only_later_is_refused_by_name() -> None:
    field = Field("species", "category", categories=("Adelie", "Gentoo"))
    with pytest.raises(UserError, match=r"species.*did you mean 'Adelie'"):
        field.parse("Adelei", "--where")


@pytest.mark.skipif(importlib.util.find_spec("bokeh_sampledata") is None, reason="needs bokeh-sampledata")
@pytest.mark.parametrize("file", ["penguins.csv", "auto-mpg.csv", "titanic_all.csv"])
def test_shipped_tables_come_back_as_they_were(file: str) -> None:
    spec = importlib.util.find_spec("bokeh_sampledata")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "_data" / file
    ds = open_table(path)
    assert isinstance(ds.codec, TableCodec)
    written = ds.codec.rows(ds.codec.decode(ds.fetch(np.arange(len(ds)))[0]))
    learned = [j for j, field in enumerate(ds.codec.fields) if field.kind != "left out"]
    for (_, cells), back in zip(read_rows(path)[1], written, strict=True):
        assert [_number_or_word(back[j]) for j in learned] == [_number_or_word(cells[j]) for j in learned]


def _number_or_word(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return "" if cell.lower() in ("na", "nan") else cell


def test_whole_numbers_that_come_back_are_never_interpolated() -> None:
    """300 codes, eight cells each: every score gives a code that was seen, and each has its share of the line."""
    codes = np.unique(np.random.default_rng(0).integers(10_000, 99_999, 300))
    field = infer("code", [str(code) for code in codes for _ in range(8)])
    assert field.kind == "integer"
    made = field.restored(np.random.default_rng(1).standard_normal(40_000))
    found, counts = np.unique(made, return_counts=True)
    assert np.array_equal(found, codes)
    # 133 draws of each on average: 5 standard deviations of a count.
    assert np.abs(counts - 40_000 / len(codes)).max() < 5 * (40_000 / len(codes)) ** 0.5
