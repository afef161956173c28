"""Nearest training rows: copies are all nearer, equal laws half, and the half at the nominal rate."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.foundations.errors import UserError
from pellucid.metrics.table_privacy import equal_rows, nearer_to_training, nearest_rows, owned, privacy
from pellucid.metrics.table_rows import points

from .table_cases import FIELDS, category, rows


def test_nearest_rows_are_those_of_all_distances() -> None:
    x, y = rows(30, 0), rows(40, 1)
    d = np.linalg.norm(points(x, FIELDS)[:, None] - points(y, FIELDS)[None], axis=-1)
    distances, which = nearest_rows(x, y, FIELDS)
    np.testing.assert_allclose(distances, d.min(1), atol=1e-9)
    np.testing.assert_array_equal(which, d.argmin(1))


def test_copies_of_training_rows_are_all_nearer_and_counted() -> None:
    train, held = rows(100, 0), rows(60, 1)
    found = privacy(train[:50], train, held, FIELDS)
    assert found.nearer.value == 1
    assert found.nearer.low > 0.5
    assert found.copies.value == 1
    assert found.ratio.value == 0
    assert found.duplicates.value == 0
    assert found.repeats.value == 0


def test_rows_that_say_next_to_nothing_are_no_copies() -> None:
    train, held, made = rows(100, 0), rows(60, 1), rows(50, 2)
    train[0, :2] = made[:5, :2] = np.nan
    made[:5, 2] = train[0, 2]
    assert equal_rows(made, train, FIELDS)[:5].tolist() == [1] * 5
    assert privacy(made, train, held, FIELDS).copies.value == 0
    made[5] = train[1]
    assert privacy(made, train, held, FIELDS).copies.value == 1 / 50


def test_a_share_of_copies_shows_as_such() -> None:
    """A share c of copies beside T training and H held-out rows: s = c + (1 - c) T/(T + H) on average."""
    num, held, c = 300, 100, 0.5
    values = []
    for seed in range(20):
        train, fresh = rows(num, 2 * seed), rows(held, 2 * seed + 1)
        made = np.concatenate([train[:100], rows(100, 1000 + seed)])
        values.append(nearer_to_training(made, train, fresh, FIELDS).value)
    s = c + (1 - c) * num / (num + held)
    assert np.mean(values) == pytest.approx(s / num / (s / num + (1 - s) / held), abs=4 * np.std(values) / np.sqrt(20))


def test_fresh_rows_are_as_near_to_both_sides_at_the_nominal_rate() -> None:
    found = [nearer_to_training(rows(150, 3 * i), rows(120, 3 * i + 1), rows(50, 3 * i + 2), FIELDS) for i in range(80)]
    values = np.array([one.value for one in found])
    assert abs(values.mean() - 0.5) < 4 * values.std() / np.sqrt(80)
    assert sum(one.low <= 0.5 <= one.high for one in found) >= 71  # at 95 %, 70 or fewer come once in 100


def test_ties_are_shared() -> None:
    fields = (category("k", 2),)
    real = np.array([[0.0], [0.0], [1.0], [1.0]])
    np.testing.assert_allclose(
        owned(np.array([[0.0], [0.0], [0.0], [1.0]]), real, fields), [0.375, 0.375, 0.125, 0.125]
    )


def test_equal_rows_are_equal_in_every_cell_missing_ones_too() -> None:
    known = np.array([[0.0, np.nan, 1, np.nan], [0.0, np.nan, 1, 7.0], [0.0, 1.0, 1, np.nan]])
    asked = np.array([[-0.0, np.nan, 1, np.nan], [0.0, 2.0, 1, np.nan]])
    assert equal_rows(asked, known, FIELDS).tolist() == [2, 0]  # the constant column says nothing


def test_few_rows_are_refused() -> None:
    with pytest.raises(UserError, match="3 held rows are too few"):
        privacy(rows(50, 0), rows(50, 1), rows(3, 2), FIELDS)
