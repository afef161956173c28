"""Masked cells filled in: what is hidden stays hidden, every cell is masked once, and exact draws are judged right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor

from pellucid.foundations.errors import UserError
from pellucid.metrics.table_impute import pooled_coverage
from pellucid.tables.masked import fill_in, neighbours

from ..metrics.table_cases import FIELDS, category, number, rows

PAIR = (number("x"), number("y"))
RHO = 0.9


def pair(num: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(num, 2))
    x[:, 1] = RHO * x[:, 0] + math.sqrt(1 - RHO**2) * x[:, 1]
    return x


def exact(cells: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Draws from the law of `pair` given one of the two."""
    noise = np.random.default_rng(7).normal(size=cells.shape)
    drawn = np.where(given[:, ::-1], RHO * cells[:, ::-1] + math.sqrt(1 - RHO**2) * noise, noise)
    return np.where(given, cells, drawn)


def test_exact_draws_cover_what_they_say_and_beat_the_mean_by_the_known_ratio() -> None:
    found = fill_in(exact, pair(400, 0), pair(200, 1), PAIR)
    assert list(found) == ["x", "y"]
    assert all(one.error.count == 200 for one in found.values())  # each cell once
    coverage = pooled_coverage(found)
    assert abs(coverage.value - 0.9) < 4 * math.sqrt(0.09 / 400)
    for one in found.values():
        ratio = one.ratios["mean"]
        assert ratio.low < math.sqrt((1 - RHO**2) * (1 + 1 / 39)) < ratio.high


def test_what_is_masked_cannot_be_seen() -> None:
    seen: list[np.ndarray] = []

    def fill(cells: np.ndarray, given: np.ndarray) -> np.ndarray:
        assert np.isnan(cells[~given]).all()
        seen.append(given)
        return np.where(given, cells, 0.0)

    held = rows(60, 0)
    found = fill_in(fill, rows(100, 1), held, FIELDS, draws=19)
    assert sum((~given).reshape(60, 19, 4)[:, 0].astype(int) for given in seen).max() == 1
    masked = sum((~given).reshape(60, 19, 4)[:, 0].sum() for given in seen)
    assert masked == (~np.isnan(held[:, :3])).sum()
    assert set(found) == {"x", "y", "k"}
    assert found["k"].error.value == pytest.approx((held[:, 2] != 0).mean())


def test_guesses_by_neighbours_are_those_of_scikit_learns_regression() -> None:
    train, hidden = pair(100, 2), pair(30, 3)
    hidden[:, 1] = np.nan
    x, y = (PAIR[0].scores(train[:, 0])[:, None], PAIR[1].scores(train[:, 1]))
    theirs = KNeighborsRegressor(5).fit(x, y).predict(PAIR[0].scores(hidden[:, 0])[:, None])
    np.testing.assert_allclose(neighbours(train, hidden, PAIR)[:, 1], PAIR[1].restored(theirs), atol=1e-6)


def test_few_rows_and_a_single_column_are_refused() -> None:
    with pytest.raises(UserError, match="two columns and 10 held-out rows; there are 2 and 5"):
        fill_in(exact, pair(50, 0), pair(5, 1), PAIR)
    with pytest.raises(UserError, match="two columns"):
        fill_in(exact, np.zeros((50, 1)), np.zeros((50, 1)), (category("k", 2),))
