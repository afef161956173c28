"""Every registered weighting: its meaning, and the loss's exact minimum."""

from __future__ import annotations

import checks
import pytest

from pellucid.denoisers import TARGETS
from pellucid.losses import DENSITIES
from pellucid.processes.schedules import SCHEDULES
from pellucid.processes.weightings import WEIGHTINGS

# v is a rotation of (x_0, eps), and its weight 1 + SNR, on variance-preserving schedules alone.
PAIRS = [
    (name, schedule)
    for name in sorted(set(WEIGHTINGS) & set(TARGETS))
    for schedule in ("linear_beta", "ve", "rectified", "sub_vp")
    if name != "v" or schedule == "linear_beta"
]


@pytest.mark.parametrize(("name", "schedule"), PAIRS)
def test_weighting_is_the_error_of_its_target(name, schedule):
    checks.weighting_weighs_output(WEIGHTINGS[name], name, checks.make_schedule(schedule))


@pytest.mark.parametrize("schedule", sorted(set(SCHEDULES) - {"scaled_linear_beta", "betas"}))
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_exact_denoiser_has_the_least_loss(name, schedule):
    checks.loss_meets_its_minimum(WEIGHTINGS[name], checks.make_schedule(schedule))


@pytest.mark.parametrize("schedule", ["vp", "rectified", "edm", "sub_vp", "ve"])
@pytest.mark.parametrize("name", sorted(set(DENSITIES) - {"importance"}))
def test_likelihood_weighting_is_the_bound_under_every_density(name, schedule):
    # From noise 0.2 on: the tails of the normal densities are thin below.
    checks.likelihood_is_the_bound(DENSITIES[name](), checks.make_schedule(schedule), 0.2)


def test_the_chains_loss_is_the_bound():
    checks.chain_loss_is_the_bound()


@pytest.mark.parametrize("variance", [0.05, 0.4, 1.0])
def test_the_hybrid_loss_learns_the_exact_variance(variance):
    checks.hybrid_learns_the_variance(variance)
