"""Intervals: against the equation that Wilson's bounds solve, and against scipy."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from scipy.stats import binomtest

from pellucid.foundations.measured import Measured, format_value, proportion, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (970, 1000), (1, 100_000)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_wilson_against_scipy_and_its_own_equation(k: int, n: int, confidence: float) -> None:
    low, high = wilson(k, n, confidence)
    peer = binomtest(k, n).proportion_ci(confidence, "wilson")
    assert (low, high) == pytest.approx((peer.low, peer.high), abs=1e-12)  # round-off
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    for bound in (low, high):  # each bound p solves |k/n - p| = z sqrt(p (1 - p) / n)
        assert abs(k / n - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / n), abs=1e-9)


def test_impossible_counts_are_refused() -> None:
    for k, n in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="successes"):
            wilson(k, n)
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, 1.0)


def test_digits_follow_the_error_bar() -> None:
    m = proportion("label_agreement", 970, 1000)
    assert (m.title, m.text, m.interval) == ("Label agreement", "0.970", "0.957 to 0.979 (95 %), n = 1,000")
    assert Measured("loss", 0.123456, 0.12344, 0.12347).text == "0.123456"
    assert Measured("seconds", 312.5, unit="s").text == "312.5 s"
    assert Measured("x", float("nan")).text == "not finite"
    assert format_value(-3.0) == "-3"
