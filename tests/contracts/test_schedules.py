"""Every registered schedule keeps the contract of schedules."""

from __future__ import annotations

import checks
import pytest
import torch

from pellucid.processes.schedules import SCHEDULES, VariancePreserving

CHECKS = [
    checks.schedule_ends,
    checks.schedule_falls,
    checks.schedule_inverse,
    checks.schedule_rates,
    checks.schedule_float32,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name, check):
    check(checks.make_schedule(name))


@pytest.mark.parametrize("name", SCHEDULES)
def test_variance_is_preserved_where_the_class_says_so(name):
    schedule = checks.make_schedule(name)
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    total = schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2
    # Round-off of two squares.
    assert isinstance(schedule, VariancePreserving) == bool(((total - 1).abs() < 1e-14).all())
