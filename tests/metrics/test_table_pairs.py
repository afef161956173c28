"""Associations: scipy's numbers, closed forms, weights as repetitions, and the floor of equal laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2_contingency, f_oneway, rankdata, spearmanr

from pellucid.metrics.table_pairs import Design, associations, cramer

from .table_cases import FIELDS, SHIFT, category, number, rows


def test_numbers_have_spearmans_correlation() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 2)) @ np.array([[1, 0.5], [0, 1]])
    x = x.round(1)  # ties
    found = Design.of(x, (number("x"), number("y"))).matrix()
    assert found[0, 1] == pytest.approx(spearmanr(x[:, 0], x[:, 1]).statistic, abs=1e-10)


def test_missing_cells_leave_the_correlation_of_the_ranks_that_are_there() -> None:
    x = rows(200, 0)
    there = ~np.isnan(x[:, 1])
    ranks = np.full((2, 200), np.nan)
    ranks[0], ranks[1, there] = rankdata(x[:, 0]), rankdata(x[there, 1])
    expected = np.corrcoef(ranks[:, there])[0, 1]
    assert Design.of(x, FIELDS).matrix()[0, 1] == pytest.approx(expected, abs=1e-10)


def test_the_correlation_ratio_follows_from_scipys_f() -> None:
    x = rows(90, 1)
    ranks = rankdata(x[:, 0])
    f = f_oneway(*(ranks[x[:, 2] == k] for k in range(3))).statistic
    eta2 = f * 2 / (f * 2 + 87)
    expected = math.sqrt(1 - (1 - eta2) * 89 / 87)
    found = Design.of(x, FIELDS).matrix()
    assert found[0, 2] == pytest.approx(expected, abs=1e-10)
    assert found[2, 0] == found[0, 2]


def test_cramers_v_is_bergsmas_of_scipys_chi2() -> None:
    table = np.array([[10.0, 4, 3, 0], [2, 9, 5, 0], [1, 2, 12, 0]])
    n, r, c = table.sum(), 3, 3
    phi2 = max(0, chi2_contingency(table[:, :3], correction=False).statistic / n - (r - 1) * (c - 1) / (n - 1))
    expected = math.sqrt(phi2 / (r - (r - 1) ** 2 / (n - 1) - 1))
    assert cramer(table) == pytest.approx(expected)  # the empty column counts for nothing
    assert cramer(np.diag([5.0, 6, 7])) == pytest.approx(1.0)
    assert cramer(np.outer([1.0, 2, 3], [4.0, 5])) == 0
    assert cramer(np.array([[3.0, 4.0]])) == 0


def test_cramers_v_squared_is_zero_on_average_where_nothing_goes_together() -> None:
    """Without the correction it would be (r - 1)(c - 1) / n / 2 = 0.05; what is left is from cutting at zero."""
    random = np.random.default_rng(3)
    plain, found = [], []
    for _ in range(200):
        a, b = random.integers(3, size=40), random.integers(3, size=40)
        table = np.zeros((3, 3))
        np.add.at(table, (a, b), 1)
        found.append(cramer(table) ** 2)
        plain.append(chi2_contingency(table + 1e-9, correction=False).statistic / 40 / 2)
    assert np.mean(found) < 0.4 * np.mean(plain)


def test_weights_count_rows_as_often_as_they_say() -> None:
    x = rows(50, 4)
    weights = np.random.default_rng(0).integers(0, 4, 50)
    design = Design.of(x, FIELDS)
    again = Design(np.repeat(design.columns, weights, axis=0), design.numbers, design.groups)
    np.testing.assert_allclose(design.matrix(weights), again.matrix(), atol=1e-12)


def test_a_monotone_change_of_a_column_and_another_order_of_rows_change_nothing() -> None:
    x = rows(80, 5)
    other = x[::-1].copy()
    other[:, 0] = np.exp(other[:, 0])
    np.testing.assert_allclose(Design.of(other, FIELDS).matrix(), Design.of(x, FIELDS).matrix(), atol=1e-12)


def test_a_column_that_does_not_vary_goes_with_nothing() -> None:
    x = rows(60, 6)
    x[:, 0] = 2.0
    found = Design.of(x, FIELDS).matrix()
    np.testing.assert_array_equal(found[0], [1, 0, 0])
    assert np.isfinite(found).all()


def test_made_rows_of_the_same_law_are_at_the_floor_and_independent_columns_above() -> None:
    real = rows(300, 7)
    given, floors = zip(
        *(
            (a.difference.value, a.difference.floor)
            for a in (associations(rows(200, i), real, FIELDS) for i in range(20, 28))
        ),
        strict=True,
    )
    assert np.mean(given) == pytest.approx(np.mean(floors), rel=0.5)
    random = np.random.default_rng(0)
    shuffled = np.stack([random.permutation(column) for column in rows(300, 8).T], axis=1)
    told = associations(shuffled, real, FIELDS)
    assert told.difference.low > told.difference.floor
    assert told.names == ("x", "y", "k")
    # x given k is normal about 1.5 (k - 1), k even: the variance of means is 1.5, that within them 1.
    assert told.real[0, 2] == pytest.approx(math.sqrt(SHIFT**2 * 2 / 3 / (1 + SHIFT**2 * 2 / 3)), abs=0.06)


def test_one_column_has_no_pairs() -> None:
    x = np.zeros((30, 1))
    assert associations(x, x, (category("k", 2),)).difference is None
