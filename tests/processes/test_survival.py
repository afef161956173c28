"""Every survival falls from 1 to 0, and its parts agree."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.processes.survival import SURVIVALS, Geometric, Polynomial, even_times, steady_times

F64 = torch.float64
WHEN = torch.cat([torch.logspace(-8, -2, 30, dtype=F64), torch.linspace(0.02, 0.999, 60, dtype=F64)])


@pytest.mark.parametrize("name", SURVIVALS)
def test_parts_agree(name):
    survival = SURVIVALS[name]()
    ends = torch.tensor([0.0, 1.0], dtype=F64)
    # To a sine's last digit; nothing survives to t = 1.
    assert survival.alpha(ends).tolist() == pytest.approx([1, 0], abs=4e-16)
    assert survival.alpha(ends)[1] == 0
    assert survival.lost(ends).tolist() == pytest.approx([0, 1], abs=4e-16)
    assert (survival.alpha(WHEN).diff() < 0).all()
    # Each is 1 less the other to the round-off of 1; near t = 0 the lost share has all its digits.
    torch.testing.assert_close(survival.alpha(WHEN) + survival.lost(WHEN), torch.ones_like(WHEN), rtol=0, atol=1e-15)
    # t is determined by the lost share to its own digits, magnified where the share stops growing (cosine at t = 1).
    torch.testing.assert_close(survival.time(survival.lost(WHEN)), WHEN, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", SURVIVALS)
def test_the_rate_is_the_slope(name):
    survival = SURVIVALS[name]()
    t = torch.linspace(0.01, 0.99, 40, dtype=F64)
    h = 1e-6
    slope = (survival.lost(t + h) - survival.lost(t - h)) / (2 * h)
    # A central difference: round-off of 1e-16/h, truncation of h^2.
    torch.testing.assert_close(survival.rate(t), slope, rtol=1e-6, atol=1e-9)


def test_polynomial_and_geometric_are_what_they_say():
    t = torch.linspace(0, 1, 5, dtype=F64)
    torch.testing.assert_close(Polynomial(3.0).alpha(t), 1 - t**3, rtol=0, atol=1e-15)
    noise = 0.1 * ((5 / 0.1) ** t - 1)
    end = math.exp(-(5 - 0.1))
    torch.testing.assert_close(Geometric(0.1, 5.0).alpha(t), ((-noise).exp() - end) / (1 - end), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", SURVIVALS)
def test_even_times_restore_equal_shares(name):
    survival = SURVIVALS[name]()
    times = even_times(survival, 7)
    assert times[0] == 1
    assert times[-1] == 0
    torch.testing.assert_close(survival.lost(times).diff(), torch.full((7,), -1 / 7, dtype=F64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", SURVIVALS)
def test_steady_times_cover_the_whole_interval(name):
    """The integral of a function of time is its mean over the times, weighed by their slope."""
    survival = SURVIVALS[name]()
    u = (torch.arange(200_000, dtype=F64) + 0.5) / 200_000
    t, slope = steady_times(survival, u)
    # The midpoint rule on a function that falls with the rate, as the bound's integrand does: the integral of p^2 dp.
    found = (survival.rate(t) * survival.lost(t).square() * slope).mean().item()
    assert found == pytest.approx(1 / 3, rel=1e-6)
    if name in ("linear", "polynomial"):
        assert (t.square() * slope).mean().item() == pytest.approx(1 / 3, rel=1e-6)


def test_refusals():
    with pytest.raises(UserError, match="0 < low < high"):
        Geometric(2.0, 1.0)
    with pytest.raises(UserError, match="power"):
        Polynomial(0.0)
    with pytest.raises(UserError, match="at least 1 step"):
        even_times(SURVIVALS["linear"](), 0)
    with pytest.raises(UserError, match="did you mean 'cosine'"):
        SURVIVALS["cosin"]
