"""Simulated paths, the process of an SDE without a kernel, and the claims about chains."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.processes.base import Process
from pellucid.processes.checks import check_prior
from pellucid.processes.claims import (
    chain_covariance,
    composition_gap,
    discretisation_gap,
    markov_gap,
    reverse_gap,
)
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.matrix import MatrixGaussian
from pellucid.processes.paths import paths, simulate, step
from pellucid.processes.schedules import VP, cosine, linear_beta
from pellucid.processes.sde import SDE

F64 = torch.float64


def well(x, t):
    return 3 * (x - x**3)


def rate(t):
    return 0.1 + 19.9 * t


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


# --- paths


def test_heun_has_weak_order_two():
    """On dx = -a x dt + c dw one step maps moments exactly: gain r = 1 - a h + (a h)^2/2 and noise variance
    c^2 h (1 - a h/2)^2; over a fixed time the variance approaches its limit like h^2."""
    sde = SDE(lambda x, t: -2 * x, lambda t: 1.5, (1,))

    def variance(num_steps):
        times = torch.linspace(0, 1, num_steps + 1, dtype=F64)
        found = torch.zeros((), dtype=F64)
        one, zero = torch.ones(1, 1, dtype=F64), torch.zeros(1, 1, dtype=F64)
        for t, later in itertools.pairwise(times):
            gain, root = step(sde, one, t, later, zero), step(sde, zero, t, later, one)
            found = (gain**2 * found + root**2).squeeze()
        return float(found)

    exact = 1.5**2 / 4 * -math.expm1(-4)
    errors = [abs(variance(n) - exact) for n in (16, 32, 64)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)
    assert math.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.1)


def test_without_noise_it_is_the_ordinary_equation():
    # dx = 3 (x - x^3) dt has x^2 = 1/(1 + (1/x0^2 - 1) exp(-6 t)).
    sde = SDE(well, lambda t: 0.0, (2,))
    x0 = torch.tensor([[0.3, -1.7]], dtype=F64)
    found = paths(sde, x0, torch.linspace(0, 1, 401, dtype=F64), Stream.of(0, range(1)))
    exact = x0.sign() / (1 + (x0**-2 - 1) * math.exp(-6)).sqrt()
    assert found.shape == (401, 1, 2)
    # Heun's error is of size (rate h)^2: the steepest rate is 20 here and h = 1/400.
    torch.testing.assert_close(found[-1], exact, rtol=0, atol=1e-4)


def test_a_path_depends_on_its_own_number_alone():
    sde = SDE(well, lambda t: 1 + t, (2,))
    x0, times = normal(6, 2), torch.linspace(0, 1, 11, dtype=F64)
    whole = paths(sde, x0, times, Stream.of(3, range(6)))
    part = paths(sde, x0[4:], times, Stream.of(3, [4, 5]))
    assert torch.equal(whole[:, 4:], part)


def test_paths_refuse():
    sde = SDE(well, lambda t: 1.0, (1,))
    stream = Stream.of(0, range(1))
    with pytest.raises(UserError, match="rising times"):
        paths(sde, normal(1, 1), torch.tensor([0.0, 0.5, 0.5]), stream)
    with pytest.raises(UserError, match=r"not finite .* shorter steps"):
        paths(sde, 1e4 * torch.ones(1, 1, dtype=F64), torch.linspace(0, 1, 20), stream)


# --- the process of simulated paths


def test_simulated_moments_agree_with_a_kernel():
    """An SDE that does have a kernel, simulated: moments within five standard errors of the exact ones."""
    sde = SDE(lambda x, t: -2 * x, lambda t: 1.5, (2,))
    size = 3000
    data = normal(size, 2) * 0.5 + 1
    process = simulate(sde, data, num_steps=50)
    phi, _, covariance = (part[0, 0] for part in sde.kernel.moments(torch.tensor(0.5, dtype=F64)))
    mean, root = process.moments(torch.tensor(0.5, dtype=F64))
    assert ((mean - phi * data.mean(0)).abs() < 5 * (covariance[0] / size).sqrt()).all()
    expected = phi**2 * data.T.cov() + covariance * torch.eye(2, dtype=F64)
    assert ((root @ root.T - expected).abs() < 5 * expected.max() * (2 / size) ** 0.5).all()
    # Normal data stay normal: the end's excess is zero within its own noise of about 1/N.
    assert abs(process.excess) < 10 / size
    # From the prior, each item's own end is known: compare with the exact divergence of two normal laws.
    one = torch.ones((), dtype=F64)
    phi, _, spread = (part.squeeze() for part in sde.kernel.moments(one))
    mean, root = process.moments(one)
    x0 = torch.tensor([[4.0, -3.0]], dtype=F64)
    exact = torch.distributions.kl_divergence(
        torch.distributions.MultivariateNormal(phi * x0, torch.eye(2, dtype=F64) * spread),
        torch.distributions.MultivariateNormal(mean, scale_tril=root),
    )
    # Standard error of the distance term with 2,000 paths: |away| / sqrt(2000) < 0.02.
    torch.testing.assert_close(process.prior_kl(x0, num_paths=2000), exact, rtol=0, atol=0.05)


def test_an_end_in_two_wells_is_refused():
    two = simulate(SDE(well, lambda t: 0.3, (1,)), normal(2000, 1), num_steps=50)
    with pytest.raises(UserError, match=r"bits/dim.*fade towards t = 1"):
        check_prior(two)
    fading = SDE(lambda x, t: -6 * t * x + (1 - t) ** 2 * (2 * x).sin(), lambda t: (12 * t).sqrt(), (1,))
    assert check_prior(simulate(fading, normal(2000, 1).sign(), num_steps=50)) < 0.005


def test_a_simulated_process_refuses_what_needs_a_kernel():
    process = simulate(SDE(well, lambda t: 1.0, (1,)), normal(100, 1), num_steps=20)
    x, t = normal(3, 1), torch.tensor(0.5, dtype=F64)
    for call in (
        lambda: process.corrupt(x, t, x),
        lambda: process.bridge(x, x, t, t / 2, x),
        lambda: process.loss(x, x, t),
    ):
        with pytest.raises(UserError, match="not affine"):
            call()
    assert torch.equal(process.renoise(x, t / 2, t, x), step(process.sde, x, t / 2, t, x))
    with pytest.raises(UserError, match="subspace"):
        simulate(SDE(well, lambda t: 1.0, (2,)), torch.ones(50, 2), num_steps=5)


# --- claims


@pytest.mark.parametrize("variance", [0.01, 1.0, 4.0])
def test_chains_are_markov_both_ways(variance):
    betas = torch.tensor(linear_beta(num_steps=100, beta_max=0.2).betas, dtype=F64)
    # Inverting a matrix of condition up to 1e5 (thin data, small betas) leaves 1e-11.
    assert markov_gap(betas, variance) < 1e-9


def test_a_chain_with_memory_is_not_markov(monkeypatch):
    def remembers(betas, variance):
        covariance = chain_covariance(betas, variance)
        moving = torch.eye(len(covariance), dtype=F64) + 0.5 * torch.eye(len(covariance), dtype=F64).roll(1, 0).tril()
        return moving @ covariance @ moving.T

    monkeypatch.setattr("pellucid.processes.claims.chain_covariance", remembers)
    assert markov_gap(torch.full((20,), 0.05)) > 0.01


def test_covariances_are_the_schedules():
    schedule = cosine(num_steps=50)
    t = torch.arange(51, dtype=F64) / 50
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    covariance = chain_covariance(torch.tensor(schedule.betas, dtype=F64), 0.7)
    torch.testing.assert_close(covariance.diagonal(), 0.7 * alpha**2 + sigma**2, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(covariance[:, 0], 0.7 * alpha, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["vp", "linear", "matrix"])
def test_transitions_compose(kind):
    turn = torch.tensor([[-3.0, 1.5], [-0.7, -4.0]], dtype=F64)
    process: Process = {
        "vp": Gaussian(VP()),
        "linear": Gaussian(linear_beta()),
        "matrix": MatrixGaussian(SDE(lambda x, t: x @ turn.T, lambda t: 1 + t, (2,))),
    }[kind]
    s, t = (torch.tensor(u, dtype=F64) for u in (0.2, 0.5))
    assert composition_gap(process, normal(1, 2), s, t, noise=torch.eye(2, dtype=F64)) < 1e-12


def test_composition_sees_a_wrong_transition():
    class Wrong(Gaussian):
        def renoise(self, x, s, t, noise):
            return super().renoise(x, s, t, 1.01 * noise)

    s, t = (torch.tensor(u, dtype=F64) for u in (0.2, 0.5))
    assert composition_gap(Wrong(VP()), normal(1, 2), s, t, noise=torch.eye(2, dtype=F64)) > 1e-3


def test_the_reverse_predictor_is_right_to_first_order():
    gaps = [reverse_gap(torch.full((int(1 / beta),), beta), 0.5).abs().amax(0) for beta in (0.04, 0.02, 0.01)]
    for rough, fine in itertools.pairwise(gaps):
        # Halving beta halves both relative gaps: order 1, with a correction of relative size beta.
        torch.testing.assert_close((rough / fine).log2(), torch.ones(2, dtype=F64), rtol=0, atol=0.06)


def test_the_chain_tends_to_its_sde_like_one_over_its_length():
    gaps = [discretisation_gap(rate, VP(), n) for n in (250, 500, 1000, 2000)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(gaps)]
    assert orders == pytest.approx([1, 1, 1], abs=0.02)
    sde = SDE(lambda x, t: -0.5 * rate(t) * x, lambda t: rate(t).sqrt(), (1,))
    assert discretisation_gap(rate, sde.schedule, 1000) == pytest.approx(gaps[2], rel=1e-6)
