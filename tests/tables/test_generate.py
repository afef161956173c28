"""Rows of a model of a table: what they depend on, what is known of them, and what stays in the file's range."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.tables.generate import sample_rows
from pellucid.tables.impute import draw_cells
from pellucid.tables.known import asked_cells
from pellucid.tables.model import TableModel

from ..small_tables import table_model, write_table


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TableModel:
    return table_model(write_table(tmp_path_factory.mktemp("table") / "data.csv"))


def test_row_i_depends_on_seed_and_i_alone(model: TableModel) -> None:
    whole = sample_rows(model, 12, seed=3)
    for parts in ((sample_rows(model, 12, seed=3, batch_size=5),), (sample_rows(model, 4, seed=3, first=8),)):
        # To the round-off of float32 products in another order, through eight steps.
        torch.testing.assert_close(torch.cat(parts), whole[-len(torch.cat(parts)) :], rtol=1e-4, atol=1e-4)
    numbers = sample_rows(model, 2, seed=3, numbers=[7, 2])
    torch.testing.assert_close(numbers, whole[[7, 2]], rtol=1e-4, atol=1e-4)
    assert (sample_rows(model, 12, seed=4) - whole).abs().max() > 0.1


def test_what_is_known_stands_in_the_rows_and_takes_turns(model: TableModel) -> None:
    day = model.codec.fields[3].write(model.codec.fields[3].values[8])
    where = {"kind": ["bee", "ant"], "size": "2.5", "grade": "", "day": [day]}
    rows = model.rows(sample_rows(model, 6, where=where, first=1))
    assert [row[0] for row in rows] == ["ant", "bee"] * 3  # by the rows' numbers, from 1 on
    assert {float(row[1]) for row in rows} == {2.5}
    assert {row[3] for row in rows} == {day}
    assert {row[6] for row in rows} == {""}
    assert {row[4] for row in rows} == {""}  # names are left out
    assert {row[5] for row in rows} == {"mm"}
    free = model.rows(sample_rows(model, 40, seed=1))
    fields = model.codec.fields
    assert all(0 <= int(row[2]) < 20 for row in free)
    assert all(row[1] == "" or fields[1].values[0] <= float(row[1]) <= fields[1].values[-1] for row in free)
    assert any(row[1] == "" for row in free)


def test_a_missing_number_is_known_to_be_missing(model: TableModel) -> None:
    known = asked_cells(model.codec, {"size": ""}, range(1))
    score, flag = 0, len(model.codec.numbers) + [name for name, _ in model.codec.alphabets].index("size?")
    assert not known.known[0, score]
    assert known.known[0, flag]
    assert known.values[0, flag] == 1
    assert {row[1] for row in model.rows(sample_rows(model, 5, where={"size": "NA"}))} == {""}


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"kinde": "ant"}, "unknown column 'kinde'; did you mean 'kind'"),
        ({"kind": "antt"}, "did you mean 'ant'"),
        ({"kind": ""}, "'kind' had no missing cells"),
        ({"size": "99"}, "size=99: 99 in the column 'size', whose values run from"),
        ({"size": "big"}, "'big' in the column 'size', where a number belongs"),
        ({"name": "row 1"}, "'name' was left out"),
        ({"unit": "cm"}, "'unit' always says 'mm'"),
        ({"day": "2024"}, "where a date belongs"),
    ],
)
def test_what_cannot_be_asked_for_is_told_by_name(model: TableModel, where: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        sample_rows(model, 2, where=where)


def test_settings_that_cannot_be_served(model: TableModel) -> None:
    for options, words in (
        ({"solver": "heun"}, "stepped from one joint call"),
        ({"solver": "ancestrall"}, "did you mean 'ancestral'"),
        ({"steps": 0}, "at least 1 step"),
        ({"first": -1}, "numbered from 0"),
    ):
        with pytest.raises(UserError, match=words):
            sample_rows(model, 2, **options)


def test_cells_that_are_filled_in_are_there_and_the_given_stay(model: TableModel) -> None:
    fields = model.codec.fields
    count = 60
    cells = np.full((count, len(fields)), np.nan)
    given = np.zeros(cells.shape, bool)
    cells[:, 0], given[:, 0] = 1.0, True
    cells[: count // 2, 1], given[: count // 2, 1] = 2.5, True
    cells[: count // 2, 6], given[: count // 2, 6] = np.nan, True  # a grade that is known to be missing
    made = draw_cells(model, cells, given)
    assert (made[:, 0] == 1).all()
    assert (made[: count // 2, 1] == 2.5).all()
    assert np.isnan(made[: count // 2, 6]).all()
    assert not np.isnan(made[count // 2 :][:, [1, 2, 3, 6]]).any()
    # A row's draw depends on its number alone.
    again = draw_cells(model, cells[-3:], given[-3:], numbers=[57, 58, 59])
    np.testing.assert_allclose(again[:, 2:4], made[-3:, 2:4])
