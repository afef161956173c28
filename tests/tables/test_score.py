"""The bits of a row: what a model that knows nothing of other columns says, and how cells are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.data.tables import open_table
from pellucid.foundations.errors import UserError
from pellucid.tables.report import independent_bits
from pellucid.tables.score import table_scores

from ..small_tables import table_model, write_table


def test_a_model_of_independent_columns_costs_their_spans_and_logits(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv")
    model, data = table_model(path), open_table(path)
    # A last layer of zeros: scores are normal variables of their own (the target's skip is exact for these), and
    # categories all alike.
    torch.nn.init.zeros_(model.denoiser.network.out.weight)
    torch.nn.init.zeros_(model.denoiser.network.out.bias)
    found = table_scores(model, data, evaluations=256)[0]
    low, high = data.codec.spans(np.asarray(data.items))
    exact = -np.log2(high - low).sum(1) + sum(np.log2(size) for _, size in data.codec.alphabets)
    # With missing numbers too: their scores are normal variables, which the bound pays for and takes off.
    assert found.bits_per_dim == pytest.approx(exact.mean(), abs=5 * found.of_estimator)
    assert found.of_estimator < 0.2
    # By the shares of the rows themselves, smoothed, it costs less than by equal ones.
    assert independent_bits(data.codec, data, data).mean() < exact.mean()


def test_rows_of_other_columns(tmp_path: Path) -> None:
    model = table_model(write_table(tmp_path / "t.csv"))
    with pytest.raises(UserError, match="other columns"):
        table_scores(model, open_table(write_table(tmp_path / "u.csv", 60)))
