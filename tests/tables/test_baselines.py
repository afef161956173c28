"""Rows by simple laws: what they keep of the training rows, and what they lose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from pellucid.metrics.table_pairs import Design
from pellucid.tables.baselines import BASELINES, gaussian_copula, independent_columns

from ..metrics.table_cases import FIELDS, number, rows

TRAIN = rows(400, 0)


@pytest.mark.parametrize("name", list(BASELINES))
def test_columns_are_those_of_the_training_rows(name: str) -> None:
    made = BASELINES[name](TRAIN, FIELDS, 4000, seed=1)
    assert made.shape == (4000, 4)
    for j in (0, 1):
        there = TRAIN[~np.isnan(TRAIN[:, j]), j]
        drawn = made[~np.isnan(made[:, j]), j]
        assert set(drawn) <= set(there)  # no value that was never seen
        levels = [0.1, 0.5, 0.9]
        # Four errors of a level's share in 4,000 draws are 0.03.
        found = [(drawn <= np.quantile(there, u)).mean() for u in levels]
        np.testing.assert_allclose(found, levels, atol=0.04)
    for value in range(3):
        assert (made[:, 2] == value).mean() == pytest.approx((TRAIN[:, 2] == value).mean(), abs=0.032)
    assert np.isnan(made[:, 1]).mean() == pytest.approx(np.isnan(TRAIN[:, 1]).mean(), abs=0.02)
    assert np.isnan(made[:, 3]).all()


def test_independent_columns_lose_every_pair() -> None:
    made = independent_columns(TRAIN, FIELDS, 4000, seed=2)
    assert np.abs(np.triu(Design.of(made, FIELDS).matrix(), 1)).max() < 0.08  # four errors: 4 / sqrt(4000)


def test_a_gaussian_copula_keeps_the_correlation_of_a_gaussian_pair() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(3000, 2)) @ np.array([[1, 0.7], [0, np.sqrt(1 - 0.49)]])
    x[:, 1] = np.exp(x[:, 1])  # a monotone change of a column is nothing to a copula
    made = gaussian_copula(x, (number("x"), number("y")), 3000, seed=1)
    # For a normal pair Spearman's correlation is 6/pi asin(rho / 2); two samples of 3,000 have errors of 0.013.
    assert spearmanr(made[:, 0], made[:, 1]).statistic == pytest.approx(6 / np.pi * np.arcsin(0.35), abs=0.05)


def test_the_copula_is_between_independence_and_the_data() -> None:
    real, lost, kept = (
        Design.of(x, FIELDS).matrix()
        for x in (TRAIN, independent_columns(TRAIN, FIELDS, 2000), gaussian_copula(TRAIN, FIELDS, 2000))
    )
    assert np.abs(kept - real).mean() < 0.5 * np.abs(lost - real).mean()


@pytest.mark.parametrize("name", list(BASELINES))
def test_rows_are_a_function_of_the_seed(name: str) -> None:
    one, same, other = (BASELINES[name](TRAIN, FIELDS, 20, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
