"""The stated error rate and power against what happens in repeats."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.audit.power import chance_of, fewest, seen_rate


@pytest.mark.parametrize(("num", "cut", "held"), [(100, 1, 150), (400, 9, 999), (50, 4, 99)])
def test_alarms_are_as_rare_as_stated(num: int, cut: int, held: int) -> None:
    random = np.random.default_rng(0)
    # New items and held-out ones of one law: uniform numbers, by their ranks.
    old = np.sort(random.random((4000, held)), axis=1)[:, cut - 1]
    counts = (random.random((4000, num)) <= old[:, None]).sum(1)
    for count in (1, 2, fewest(num, cut, held)):
        expected = chance_of(count, num, cut, held)
        error = np.sqrt(max(expected * (1 - expected), 1e-4) / 4000)
        assert np.mean(counts >= count) == pytest.approx(expected, abs=4 * error)


def test_the_fewest_is_the_first_that_chance_does_not_explain() -> None:
    need = fewest(500, 10, 499)
    assert chance_of(need, 500, 10, 499) <= 0.025 < chance_of(need - 1, 500, 10, 499)


@pytest.mark.parametrize(("num", "cut", "held"), [(200, 1, 99), (4000, 9, 999)])
def test_the_rate_is_seen_as_often_as_stated(num: int, cut: int, held: int) -> None:
    rate = seen_rate(num, cut, held)
    counts = np.random.default_rng(0).binomial(num, rate, size=20_000)
    # Four deviations of a share of 20,000.
    assert np.mean(counts >= fewest(num, cut, held)) == pytest.approx(0.98, abs=0.004)


def test_more_samples_see_less() -> None:
    rates = [seen_rate(num, 9, 999) for num in (100, 1000, 10_000)]
    assert rates == sorted(rates, reverse=True)
