"""A model judged: an exact one passes, and what does not belong to it is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.config import SamplingSettings, resolve
from pellucid.data.arrays import Dataset
from pellucid.data.table_codec import TableCodec
from pellucid.foundations.errors import UserError
from pellucid.tables.judge import judge
from pellucid.tables.model import TableCard, TableModel, make_row_denoiser
from pellucid.train.table import describe

from ..metrics.table_cases import FIELDS, rows

CODEC = TableCodec(FIELDS)


def table(num: int, seed: int) -> Dataset:
    return Dataset(CODEC.pack(rows(num, seed)), None, (), CODEC, "cases")


def untrained() -> TableModel:
    """A model of a network that answers zero: independent columns, normal numbers, even categories."""
    config = resolve([("test", {"kind": "table", "process": {"kind": "absorbing", "schedule": "rectified"}})]).config
    spec = describe(config, table(50, 0))
    torch.manual_seed(0)
    card = TableCard(spec, config.process, CODEC, SamplingSettings(solver="ancestral", steps=12, grid="uniform"))
    return TableModel(make_row_denoiser(spec, config.process).eval(), card, "none")


def test_every_part_is_measured_of_rows_and_cells_that_the_model_makes() -> None:
    parts: list[str] = []
    found = judge(untrained(), table(150, 0), table(40, 1), num=200, draws=19, baselines=False, progress=parts.append)
    assert parts[:2] == ["rows", "masked cells"]
    measures = found.measures
    assert measures.refused == {}
    assert (measures.num_train, measures.num_held, measures.num_made) == (150, 40, 200)
    np.testing.assert_array_equal(CODEC.decode(torch.from_numpy(found.made)), found.made)  # rows that exist
    assert set(measures.imputed) == {"x", "y", "k"}
    # Even categories and nothing else: associations are lost, and masked cells are no better than the mean.
    assert measures.pairs.difference.low > measures.pairs.difference.floor
    assert np.abs(np.triu(measures.pairs.made, 1)).max() < 0.3  # four errors of 200 rows
    assert all(one.ratios["mean"].high > 0.9 for name, one in measures.imputed.items() if name != "k")


def test_without_draws_or_held_out_rows_the_rest_is_measured() -> None:
    found = judge(untrained(), table(60, 0), table(40, 1).subset([]), num=50, baselines=False).measures
    assert {"masked cells", "privacy", "utility"} <= set(found.refused)
    assert found.c2st is not None
    assert judge(untrained(), table(60, 0), table(40, 1), num=50, draws=0, baselines=False).measures.imputed == {}


def test_rows_of_another_table_are_refused(tmp_path: Path) -> None:
    other = TableCodec((replace(FIELDS[0], name="z"), *FIELDS[1:]))
    strange = Dataset(other.pack(rows(50, 0)), None, (), other, "strange")
    with pytest.raises(UserError, match="the held-out rows are of strange"):
        judge(untrained(), table(50, 0), strange)
