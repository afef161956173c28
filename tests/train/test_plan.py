"""Progress is continuous however a plan is changed, and the learning rate begins and ends at its ends."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from pellucid.train.plan import Plan, learning_rate


def test_progress_runs_from_0_to_1_in_a_straight_line() -> None:
    plan = Plan(1000)
    assert [plan.progress(n) for n in (0, 250, 500, 1000, 2000)] == [0, 0.25, 0.5, 1, 1]


@pytest.mark.parametrize("total", [401, 600, 1000, 5000])
def test_a_corrected_plan_goes_on_from_the_same_progress(total: int) -> None:
    plan = Plan(1000).with_total(700, 200).with_total(total, 400)
    before = Plan(1000).with_total(700, 200)
    assert plan.progress(400) == pytest.approx(before.progress(400), abs=1e-12)
    assert plan.progress(total) == 1
    looks = [plan.progress(n) for n in range(400, total + 1)]
    assert all(a <= b for a, b in pairwise(looks))
    slopes = {round(b - a, 12) for a, b in pairwise(looks[:-1])}
    assert len(slopes) <= 2  # straight; two values by rounding


def test_a_corrected_plan_never_ends_before_the_present() -> None:
    plan = Plan(1000).with_total(100, 400)
    assert plan.total == 401
    assert plan.progress(400) == pytest.approx(0.4)


def test_an_extended_plan_is_where_it_would_be_had_it_been_planned_so() -> None:
    done = Plan(1000).with_total(800, 500)
    longer = done.extended(2000, 800)
    asked = Plan(2000)
    for n in (800, 1000, 1999, 2000):
        assert longer.progress(n) == pytest.approx(asked.progress(n), abs=1e-12)


def test_a_plan_survives_json() -> None:
    plan = Plan(1000).with_total(700, 200)
    assert Plan(**plan.to_json()) == plan


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    rate = [learning_rate(u / 1000, peak=2.0, warmup=0.1) for u in range(1001)]
    assert rate[0] == 0
    assert rate[50] == pytest.approx(1.0)
    assert max(rate) == rate[100] == 2.0
    assert rate[550] == pytest.approx(1.0)  # half-way down the half cosine
    assert rate[1000] == pytest.approx(0, abs=1e-15)
    steepest = max(abs(b - a) for a, b in pairwise(rate))
    assert steepest <= 2.0 / 0.1 / 1000 + 1e-12  # no jump: the warm-up is the steepest part
    mean = sum(rate) / len(rate)
    assert mean == pytest.approx(1.0, abs=1e-3)  # both parts average to half the peak
    assert learning_rate(0.0, peak=2.0, warmup=0.0) == 2.0
    assert math.isfinite(learning_rate(1.0, peak=2.0, warmup=0.99))
