"""Chains from a poor start reach the exact moments, their length is tuned and frozen, and they depend on their id."""

from __future__ import annotations

import pytest
import torch
from chain_laws import COVARIANCE, F64, HUMPS, MEAN, normal, numbers, stream, two_humps

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.mcmc import MCMC, by_energy, mean_and_error, run_chains
from pellucid.mcmc.tuning import DualAveraging


@pytest.mark.parametrize("name", ["mala", "hmc"])
def test_moments_of_a_normal_law(name):
    kernel = MCMC[name]()
    start = torch.zeros(100, 2, dtype=F64)
    made = run_chains(normal, start, kernel, stream=stream(100), num_moves=300, warmup=150, length=0.3)
    # The share that Hamiltonian moves accept falls off a cliff at the length where leaps lose their hold: averages of
    # lengths on both sides of it accept more than the aim.
    assert made.acceptance.mean().item() == pytest.approx(kernel.aim, abs=0.08 if name == "mala" else 0.2)
    for i in range(2):
        mean, error = mean_and_error(made.draws[..., i])
        assert abs(mean - MEAN[i]) < 4 * error
        assert error < 0.05
        for j in range(i, 2):
            product = (made.draws[..., i] - MEAN[i]) * (made.draws[..., j] - MEAN[j])
            mean, error = mean_and_error(product)
            assert abs(mean - COVARIANCE[i, j]) < 4 * error


@pytest.mark.parametrize("name", ["mala", "hmc"])
def test_moments_of_two_humps(name):
    made = run_chains(
        two_humps, numbers(200, 1), MCMC[name](), stream=stream(200, 1), num_moves=300, warmup=100, length=0.3
    )
    for power, exact in enumerate(HUMPS, start=1):
        mean, error = mean_and_error(made.draws[..., 0] ** power)
        assert abs(mean - exact) < 4 * error


def test_the_length_found_scales_with_the_law():
    """A law ten times as wide takes lengths ten times as long: the warm-up is the same walk on another scale."""

    def energy(width):
        return by_energy(lambda x: 0.5 * (x / width).square().sum(1))

    lengths = [
        run_chains(
            energy(w),
            torch.zeros(20, 3, dtype=F64),
            MCMC["mala"](),
            stream=stream(20),
            num_moves=1,
            warmup=80,
            length=0.1 * w,
        ).length
        for w in (1.0, 10.0)
    ]
    assert lengths[1] == pytest.approx(10 * lengths[0], rel=1e-6)


def test_a_chain_depends_on_its_id_alone():
    x = numbers(6, 2)
    together = run_chains(normal, x, MCMC["hmc"](), stream=Stream.of(3, range(6)), num_moves=5, length=0.5)
    alone = run_chains(normal, x[4:5], MCMC["hmc"](), stream=Stream.of(3, [4]), num_moves=5, length=0.5)
    torch.testing.assert_close(together.draws[:, 4:5], alone.draws, rtol=1e-12, atol=1e-12)


def test_dual_averaging_finds_the_root_of_a_known_curve():
    """With acceptance exp(-h) the aim 0.6 is met at h = -log 0.6; averages of damped swings end within 5 %."""
    state = DualAveraging.of(3.0, 0.6)
    for _ in range(300):
        state = state.after(2.718281828 ** (-state.length))
    assert state.tuned == pytest.approx(0.5108, rel=0.05)
    assert DualAveraging.of(3.0, 0.6).tuned == 3.0


def test_counts_out_of_range_are_told():
    with pytest.raises(UserError, match="at least 1 move"):
        run_chains(normal, numbers(2, 2), MCMC["ula"](), stream=stream(2), num_moves=0, length=0.1)
    with pytest.raises(UserError, match="did you mean 'mala'"):
        MCMC["malla"]
