"""Rows as points: distances by hand, and who is refused."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.foundations.errors import UserError
from pellucid.metrics.table_rows import checked, halves, noise_scale, points, resampled

from .table_cases import FIELDS, rows


def test_distances_are_the_sums_over_columns_that_the_docstring_names() -> None:
    cells = np.array([[0.0, 1.0, 0, np.nan], [1.0, np.nan, 2, np.nan], [1.0, -1.0, 2, np.nan], [1.0, np.nan, 0, 5.0]])
    x = points(cells, FIELDS)
    squares = ((x[:, None] - x[None]) ** 2).sum(-1)
    # x: half the squared difference; y: the same, or 1/2 + 1/2 of the present one's square; k: 1 where it differs.
    expected = {(0, 1): 0.5 + 1.0 + 1, (0, 2): 0.5 + 2.0 + 1, (1, 2): 1.0, (1, 3): 1.0, (0, 3): 0.5 + 1.0}
    for (i, j), value in expected.items():
        assert squares[i, j] == pytest.approx(value, abs=1e-4)  # the field's quantiles are 4001 knots
        assert squares[j, i] == squares[i, j]


def test_halves_share_no_row_and_noise_scales_with_sizes() -> None:
    sample = np.arange(21.0)[:, None]
    for a, b in halves(sample, 0, 3):
        assert len(a) == len(b) == 10
        assert len({*a[:, 0], *b[:, 0]}) == 20
    assert resampled(7, 0, "test", 5).sum(1).tolist() == [7] * 5
    # The standard deviation of a difference of two means of N and M over that of two halves of M.
    assert noise_scale(30, 90) == pytest.approx(np.sqrt(1 / 30 + 1 / 90) / np.sqrt(4 / 90))


def test_what_cannot_be_compared_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="5 made rows are too few"):
        checked(FIELDS, 20, made=rows(5, 0), real=rows(50, 0))
    with pytest.raises(UserError, match="the table has 4 columns"):
        checked(FIELDS, 2, made=rows(5, 0)[:, :2])
    with pytest.raises(UserError, match="no column to compare"):
        checked(FIELDS[3:], 2, made=rows(5, 0)[:, 3:])
