"""Draws of masked cells: exact coverage for a Gaussian law, errors in closed form, and who is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pellucid.foundations.errors import UserError
from pellucid.metrics.table_impute import imputed, imputed_categories, interval, pooled_coverage

RHO = 0.8


def case(cells: int, draws: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y of a pair with correlation 0.8, draws from its exact law given x, and its mean given x."""
    random = np.random.default_rng(seed)
    x = random.normal(size=cells)
    mean, scale = RHO * x, math.sqrt(1 - RHO**2)
    return (
        mean + scale * random.normal(size=cells),
        mean[:, None] + scale * random.normal(size=(cells, draws)),
        mean,
    )


@pytest.mark.parametrize("draws", [19, 39])
def test_intervals_of_exact_draws_cover_what_they_say(draws: int) -> None:
    """With S + 1 a multiple of 20 the ends are draws themselves, and the coverage is 0.9 exactly, for any law."""
    truth, drawn, _ = case(4000, draws)
    found = imputed(truth, drawn, {}, name="y").coverage
    assert abs(found.value - 0.9) < 4 * math.sqrt(0.09 / 4000)
    skewed = imputed(np.exp(truth), np.exp(drawn), {}, name="y").coverage
    assert skewed.value == found.value


def test_draws_that_are_too_sure_cover_too_little() -> None:
    truth, drawn, mean = case(2000, 39)
    sure = mean[:, None] + 0.5 * (drawn - mean[:, None])
    # A width of half: P(|z| < 1.645 / 2) = 0.589, and the ends of 39 draws wander a little.
    assert abs(imputed(truth, sure, {}, name="y").coverage.value - 0.589) < 0.05


def test_errors_are_those_of_the_law() -> None:
    truth, drawn, _ = case(4000, 40)
    found = imputed(truth, drawn, {"mean": np.zeros(4000)}, name="y")
    # The draws' mean has the conditional variance and its own Monte Carlo share of it; a guess of 0 has variance 1.
    expected = math.sqrt((1 - RHO**2) * (1 + 1 / 40))
    assert found.error.value == pytest.approx(expected, rel=4 / math.sqrt(2 * 4000))
    assert found.error.low < expected < found.error.high
    ratio = found.ratios["mean"]
    assert ratio.low < expected < ratio.high < 1
    assert found.others["mean"] == pytest.approx(1, abs=0.05)


def test_categories_are_judged_by_their_mode() -> None:
    truth = np.array([0.0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    draws = np.stack([truth, truth, (truth + 1) % 3], axis=1)
    draws[0] = [1, 1, 0]
    found = imputed_categories(truth, draws, {"mode": np.zeros(10)}, name="k")
    assert found.error.value == pytest.approx(0.1)
    assert found.others["mode"] == pytest.approx(0.6)
    assert found.coverage is None


def test_coverage_is_pooled_over_columns() -> None:
    one = imputed(*case(100, 19)[:2], {}, name="a")
    two = imputed(*case(300, 19, 1)[:2], {}, name="b")
    pooled = pooled_coverage({"a": one, "b": two})
    assert pooled.count == 400
    assert pooled.value == pytest.approx((one.coverage.value + 3 * two.coverage.value) / 4)


def test_what_cannot_be_judged_is_refused() -> None:
    truth, draws, _ = case(50, 19)
    with pytest.raises(UserError, match="18 draws of a cell are too few"):
        interval(draws[:, :18])
    with pytest.raises(UserError, match="5 masked cells are too few"):
        imputed(truth[:5], draws[:5], {}, name="y")
    truth[0] = np.nan
    with pytest.raises(UserError, match="missing cannot be judged"):
        imputed(truth, draws, {}, name="y")
    with pytest.raises(UserError, match="no column of numbers"):
        pooled_coverage({})
