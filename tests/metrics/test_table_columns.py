"""Distances of columns: scipy's statistic, known distances between known laws, and a floor that is zero."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from pellucid.foundations.errors import UserError
from pellucid.metrics.table_columns import (
    column_scores,
    counted,
    distance,
    kolmogorov_smirnov,
    mean_distance,
    total_variation,
)

from .table_cases import FIELDS, rows


def test_kolmogorov_smirnov_is_that_of_scipy_with_ties_and_missing_cells() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=80).round(1), random.normal(0.3, 1, size=50).round(1)
    theirs = ks_2samp(x, y).statistic
    assert float(kolmogorov_smirnov(*counted(np.append(x, np.nan), y))) == pytest.approx(theirs, abs=1e-12)


def test_total_variation_is_the_share_that_would_have_to_move() -> None:
    assert float(total_variation(np.array([2, 2, 0]), np.array([1, 0, 3]))) == pytest.approx(0.75)


def normal(shift: float, size: int, random: np.random.Generator) -> np.ndarray:
    return random.normal(shift, 1, size)


def words(shift: float, size: int, random: np.random.Generator) -> np.ndarray:
    return random.choice(4, size, p=np.array([0.4 - shift, 0.3, 0.2 + shift, 0.1])).astype(float)


@pytest.mark.parametrize(
    ("draw", "ordered", "shift", "truth"),
    [(normal, True, 0.6, math.erf(0.3 / math.sqrt(2))), (words, False, 0.25, 0.25)],
)
def test_the_known_distance_is_found_and_lies_in_its_interval(draw, ordered: bool, shift: float, truth: float) -> None:
    """max |Phi(v) - Phi(v - shift)| is at v = shift/2: 2 Phi(shift/2) - 1 = erf(shift / 2 / sqrt 2)."""
    random = np.random.default_rng(1)
    found = [distance(draw(shift, 120, random), draw(0, 90, random), ordered=ordered, seed=i) for i in range(40)]
    inside = sum(one.low <= truth <= one.high for one in found)
    assert inside >= 34  # of 40 at 95 %: fewer than 34 come by chance once in 70
    values = np.array([one.value for one in found])
    # What is left of the bias is of the order of the noise squared over the distance, here below 0.02.
    assert abs(values.mean() - truth) < 0.02 + 3 * values.std() / math.sqrt(40)


@pytest.mark.parametrize(("draw", "ordered"), [(normal, True), (words, False)])
def test_equal_laws_are_at_zero_at_the_nominal_rate(draw, ordered: bool) -> None:
    random = np.random.default_rng(2)
    found = [distance(draw(0, 100, random), draw(0, 60, random), ordered=ordered, seed=i) for i in range(60)]
    assert sum(one.low == 0 for one in found) >= 54  # at 95 %, 53 or fewer come by chance once in 70
    # Corrected, half of the estimates are at zero or nearly so; the plain distance never is.
    assert np.median([one.value for one in found]) < 0.05


def test_each_column_has_its_distance_and_its_share_of_missing_cells() -> None:
    real = rows(400, 0)
    made = rows(400, 1)
    made[:, 0] += 1.0
    made[:200, 1] = np.nan
    x, y, k = column_scores(made, real, FIELDS)
    assert [one.name for one in (x, y, k)] == ["x", "y", "k"]
    assert x.distance.low > 0.1
    assert x.distance.floor < 0.06
    assert x.missing is None
    assert y.missing.low < 0.45 < y.missing.high  # half, and a tenth of the other half, beside a tenth
    assert k.distance.low == 0
    assert 0 <= k.distance.value <= k.plain


def test_the_mean_over_columns_is_at_its_floor_for_equal_laws() -> None:
    """The floor comes from halves and is scaled to the sizes: it is the mean of what equal laws give."""
    given, floors = [], []
    for seed in range(12):
        scored = mean_distance(rows(150, 2 * seed), rows(100, 2 * seed + 1), FIELDS, seed=seed)
        given.append(scored.value)
        floors.append(scored.floor)
    error = math.hypot(np.std(given), np.std(floors)) / math.sqrt(12)
    assert abs(np.mean(given) - np.mean(floors)) < 4 * error
    shifted = mean_distance(rows(150, 0, shift=1.0), rows(100, 1), FIELDS)
    assert shifted.low > shifted.floor


def test_many_values_are_merged_for_chance_alone() -> None:
    random = np.random.default_rng(5)
    x, y = random.normal(size=3000), random.normal(size=2000)
    assert distance(x, y, ordered=True).low == 0
    shifted = distance(x + 0.3, y, ordered=True)
    assert shifted.low < math.erf(0.15 / math.sqrt(2)) < shifted.high
    # The mean square of the greatest height of a Brownian bridge is pi^2 / 12, be the values merged or not.
    plain = ks_2samp(x + 0.3, y).statistic
    assert plain**2 - shifted.value**2 == pytest.approx(math.pi**2 / 12 * (1 / 3000 + 1 / 2000), rel=0.3)


def test_few_cells_are_refused() -> None:
    with pytest.raises(UserError, match="x: 5 cells are too few"):
        distance(np.zeros(5), np.zeros(50), ordered=True, name="x")
