"""Coverage and ranks: right for exact draws, of known size for draws that are too wide, too narrow or off."""

from __future__ import annotations

import math

import pytest
import torch
from restore_cases import F64, normal

from pellucid.foundations.errors import UserError
from pellucid.restorers.calibration import calibrate, needed

N, K, D = 2000, 39, 6


def pairs(scale=1.0, shift=0.0):
    """Truth from N(0, I) given nothing; draws from N(shift, scale^2 I)."""
    return shift + scale * normal(N, K, D, seed=1), normal(N, D, seed=2)


def test_exact_draws_are_calibrated():
    found = calibrate(*pairs())
    assert found.level == pytest.approx(0.9)  # l = 2 of 40 ranks on either side
    # Four binomial standard errors of 2,000 items; directions only make it better.
    assert found.coverage.value == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / N))
    assert found.calibrated
    assert found.p_value > 1e-3
    torch.testing.assert_close(found.ranks, torch.full((10,), 0.1, dtype=F64), rtol=0, atol=4 * math.sqrt(0.09 / N))
    assert found.coverage.count == N
    assert "90 % credible regions hold the truth in" in found.sentence()


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_draws_of_the_wrong_width_cover_what_they_should(scale):
    found = calibrate(*pairs(scale))
    # |N(0, 1)| < q scale; the region's ends are order statistics, whose spread moves this by less than 0.03.
    q = 1.6449
    exact = math.erf(q * scale / math.sqrt(2))
    assert found.coverage.value == pytest.approx(exact, abs=0.03)
    assert not found.calibrated
    assert found.p_value < 1e-6
    middle, ends = found.ranks[4:6].sum(), found.ranks[[0, 9]].sum()
    assert (ends > middle) == (scale < 1)  # too narrow: a bowl


def test_a_shift_tilts_the_ranks():
    # Along a direction w the shift is 0.7 sum(w): its sign differs, so most of it shows at both ends.
    found = calibrate(*pairs(shift=0.7))
    assert found.p_value < 1e-6
    assert not found.calibrated


def test_a_point_estimate_covers_nothing():
    estimate = normal(N, 1, D, seed=3).expand(N, K, D)
    found = calibrate(estimate, normal(N, D, seed=2))
    assert found.coverage.value == 0
    exact = calibrate(normal(N, 1, D, seed=2).expand(N, K, D), normal(N, D, seed=2))
    assert exact.coverage.value == 1  # ties all over: the truth itself


@pytest.mark.parametrize(("k", "level", "got"), [(19, 0.9, 0.9), (99, 0.9, 0.9), (49, 0.5, 0.52), (63, 0.9, 0.90625)])
def test_the_level_is_one_that_the_draws_can_tell(k, level, got):
    found = calibrate(normal(500, k, 2, seed=1), normal(500, 2, seed=2), level=level)
    assert found.level == pytest.approx(got)
    assert found.coverage.value == pytest.approx(got, abs=4 * math.sqrt(got * (1 - got) / 500))


def test_refusals():
    assert needed(0.9) == 19
    samples, truth = normal(5, 20, 3), normal(5, 3)
    for wrong, says in (
        ((samples[:4], truth), r"\(n, k, \*\)"),
        ((samples[..., :2], truth), r"\(n, k, \*\)"),
        ((samples[:, :8], truth), "draw at least 19"),
        ((samples / 0, truth), "not finite"),
    ):
        with pytest.raises(UserError, match=says):
            calibrate(*wrong)
    with pytest.raises(UserError, match="level lies in"):
        calibrate(samples, truth, level=1.0)
