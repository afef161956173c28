"""Time grids: the published EDM grid, what is evenly spaced in each, and time travel."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.processes.schedules import EDM, SCHEDULES, VP
from pellucid.processes.times import GRIDS, karras, log_snr, travel

NAMES = sorted(set(SCHEDULES) - {"betas"})


@pytest.mark.parametrize("schedule", NAMES)
@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("num_steps", [1, 2, 17])
def test_every_grid_falls_from_one_to_exactly_zero(name, schedule, num_steps):
    times = GRIDS[name](SCHEDULES[schedule](), num_steps)
    assert len(times) == num_steps + 1
    assert times[0] == 1
    assert times[-1] == 0
    for precision in (torch.float64, torch.float32):
        assert (times.to(precision).diff() < 0).all()


def test_edm_grid_is_the_published_one():
    schedule = EDM()
    noise = schedule.sigma(karras(schedule, 18))
    assert [round(value, 5) for value in noise[:5].tolist()] == [80, 57.58598, 40.78557, 28.37458, 19.35245]
    assert noise[17].item() == pytest.approx(0.002, rel=1e-12)
    assert noise[18] == 0


def test_edm_schedule_has_the_power_grid_on_uniform_times():
    """On uniform times, sigma^(1/rho) is evenly spaced, down to zero noise."""
    schedule = EDM()
    roots = schedule.sigma(GRIDS["uniform"](schedule, 18)) ** (1 / 7)
    torch.testing.assert_close(roots.diff(), torch.full((18,), -(80 ** (1 / 7)) / 18, dtype=roots.dtype))


@pytest.mark.parametrize("schedule", NAMES)
@pytest.mark.parametrize(
    ("name", "transform", "points"),
    [
        ("uniform", lambda t, noise: t, 13),
        ("quadratic", lambda t, noise: t.sqrt(), 13),
        ("log-snr", lambda t, noise: noise.log(), 12),
        ("karras", lambda t, noise: noise ** (1 / 7), 12),
        ("cosine", lambda t, noise: noise.atan(), 13),
    ],
)
def test_each_grid_is_even_in_its_own_measure(name, transform, points, schedule):
    made = SCHEDULES[schedule]()
    times = GRIDS[name](made, 12)
    steps = transform(times, made.sigma(times) / made.alpha(times))[:points].diff()
    # The inverse of log-SNR is good to 1e-10.
    torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("grid", [karras, log_snr])
def test_on_a_chain_no_grid_stops_below_the_first_step(grid):
    chain = SCHEDULES["linear_beta"]()
    assert grid(chain, 10)[-2].item() == pytest.approx(1 / 1000, rel=1e-9)
    coarse = grid(chain, 10, noise_min=0.5)
    assert (chain.sigma(coarse[-2]) / chain.alpha(coarse[-2])).item() == pytest.approx(0.5, rel=1e-9)


def test_travel_goes_back_after_every_stretch():
    times = torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0])
    assert torch.equal(travel(times, length=2, repeats=0), times)
    expected = [1, 0.75, 0.5, 1, 0.75, 0.5, 0.25, 0, 0.5, 0.25, 0]
    assert travel(times, length=2, repeats=1).tolist() == expected
    # A last stretch that is shorter goes back only its own length.
    assert travel(times, length=3, repeats=1).tolist() == [1, 0.75, 0.5, 0.25, 1, 0.75, 0.5, 0.25, 0, 0.25, 0]
    longer = travel(times, length=2, repeats=3)
    assert len(longer) == 5 + 3 * (3 + 3)
    assert int((longer.diff() > 0).sum()) == 6


def test_mistakes_are_told():
    with pytest.raises(UserError, match="at least 1 step, got 0"):
        GRIDS["uniform"](VP(), 0)
    with pytest.raises(UserError, match=r"noise_min = 1000.0 must lie below the schedule's largest noise, 152\.2"):
        log_snr(VP(), 5, noise_min=1000.0)
    with pytest.raises(UserError, match="length >= 1"):
        travel(torch.tensor([1.0, 0.0]), length=0, repeats=1)
    assert math.isfinite(float(log_snr(VP(), 1)[0]))
