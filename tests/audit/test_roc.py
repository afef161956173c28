"""Curves against scikit-learn and against normal laws, whose area is known."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.audit.roc import curve
from pellucid.foundations.errors import UserError


def normal(num: int, seed: int) -> torch.Tensor:
    return torch.randn(num, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_area_is_scikit_learns_with_ties() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    members, others = (1 + normal(200, 0)).round(decimals=1), normal(300, 1).round(decimals=1)
    truth = [1] * 200 + [0] * 300
    expected = metrics.roc_auc_score(truth, torch.cat([members, others]).numpy())
    assert curve("s", members, others).auc.value == pytest.approx(expected, abs=1e-12)


def test_intervals_cover_the_area_of_two_normal_laws() -> None:
    shift, repeats = 0.8, 400
    truth = 0.5 * (1 + math.erf(shift / math.sqrt(2) / math.sqrt(2)))  # P(N(shift, 2) > 0)
    inside = 0
    for seed in range(repeats):
        found = curve("s", shift + normal(60, 2 * seed), normal(80, 2 * seed + 1)).auc
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= truth <= found.high
    # 95 % of 400 is known to 1.1 points; 5 points are the promise.
    assert inside / repeats == pytest.approx(0.95, abs=0.05)


def test_what_is_found_at_one_percent_is_the_normal_laws() -> None:
    # At a false-alarm rate of 1 % the cut is 2.326, so a shift of 2 finds P(N > 0.326) = 37.2 %.
    found = curve("s", 2 + normal(20_000, 0), normal(20_000, 1)).found[0.01]
    # The cut is the 200th of 20,000, known to 1/(sqrt(200) * 2.67) in units of the deviation: 1 point; two more of n.
    assert found.value == pytest.approx(0.372, abs=0.03)


def test_what_is_found_at_one_percent_is_covered_also_by_few_others() -> None:
    # The cut of 300 others is known badly: Wilson's interval at the measured cut alone would miss 37.2 % half the time.
    inside = 0
    for seed in range(200):
        found = curve("s", 2 + normal(2000, 2 * seed), normal(300, 2 * seed + 1)).found[0.01]
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 0.372 <= found.high
    assert inside >= 190  # 95 %, of bounds that are each at 97.5 % or better


def test_rates_that_the_others_cannot_show_are_left_out() -> None:
    found = curve("s", normal(50, 0), normal(500, 1))
    assert set(found.found) == {0.01}


def test_the_null_is_called_no_better_than_chance() -> None:
    tells = sum(curve("s", normal(100, 2 * seed), normal(100, 2 * seed + 1)).tells for seed in range(200))
    assert tells / 200 <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / 200)  # one-sided 2.5 %, three deviations of 200


def test_scores_that_are_not_finite_are_refused_by_name() -> None:
    with pytest.raises(UserError, match="'loss' holds numbers that are not finite"):
        curve("loss", torch.tensor([1.0, math.nan]), torch.tensor([0.0, 1.0]))
