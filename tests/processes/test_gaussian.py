"""The Gaussian process: its transitions agree with one another in law, and with Ho et al. on a chain's own grid.

Every method is linear in its arguments, so its coefficients are read off with unit inputs: no Monte Carlo.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from pellucid.foundations.rng import Stream
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES, VE, Betas, Rectified, linear_beta

F64 = torch.float64
NAMES = sorted(SCHEDULES)
TIMES = [1.0, 0.83, 0.5, 0.11, 0.02]


def make(name):
    return Gaussian(Betas((0.1, 0.2, 0.3, 0.4)) if name == "betas" else SCHEDULES[name]())


def scalar(value):
    return torch.tensor(value, dtype=F64)


UNIT, ZERO = torch.ones(1, 1, dtype=F64), torch.zeros(1, 1, dtype=F64)


def corrupt_law(process, t):
    """The factor on x_0 and the variance of q(x_t given x_0)."""
    t = scalar(t)
    return process.corrupt(UNIT, t, ZERO).item(), process.corrupt(ZERO, t, UNIT).item() ** 2


def renoise_law(process, s, t):
    s, t = scalar(s), scalar(t)
    return process.renoise(UNIT, s, t, ZERO).item(), process.renoise(ZERO, s, t, UNIT).item() ** 2


def bridge_law(process, t, s, eta=1.0):
    """The factors on x_t and x_0, and the variance."""
    t, s = scalar(t), scalar(s)
    from_x = process.interpolate(UNIT, ZERO, t, s, ZERO, eta).item()
    from_x0 = process.interpolate(ZERO, UNIT, t, s, ZERO, eta).item()
    return from_x, from_x0, process.interpolate(ZERO, ZERO, t, s, UNIT, eta).item() ** 2


@pytest.mark.parametrize("name", NAMES)
def test_corruption_is_the_schedule(name):
    process = make(name)
    for t in [*TIMES, 0.0]:
        gain, variance = corrupt_law(process, t)
        assert gain == process.schedule.alpha(scalar(t)).item()
        assert variance == pytest.approx(process.schedule.sigma(scalar(t)).item() ** 2, rel=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_noise_composes(name):
    """q(x_s given x_0) then q(x_t given x_s) is q(x_t given x_0); from s = 0 too."""
    process = make(name)
    for t, s in [*pairwise([*TIMES, 0.0]), (1.0, 0.02)]:
        (first, v_s), (gain, extra) = corrupt_law(process, s), renoise_law(process, s, t)
        whole, v_t = corrupt_law(process, t)
        assert gain * first == pytest.approx(whole, rel=1e-12)
        assert gain**2 * v_s + extra == pytest.approx(v_t, rel=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_bridge_marginalised_is_the_corruption(name, eta):
    """q(x_s given x_t, x_0) averaged over q(x_t given x_0) is q(x_s given x_0), for every eta."""
    process = make(name)
    for t, s in [*pairwise([*TIMES, 0.0]), (1.0, 0.02)]:
        from_x, from_x0, variance = bridge_law(process, t, s, eta)
        (gain_t, v_t), (gain_s, v_s) = corrupt_law(process, t), corrupt_law(process, s)
        assert from_x * gain_t + from_x0 == pytest.approx(gain_s, rel=1e-12)
        assert from_x**2 * v_t + variance == pytest.approx(v_s, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_bridge_is_bayes_rule(name):
    """The bridge's factor on x_t is Cov(x_s, x_t given x_0)/Var(x_t given x_0), with the covariance from `renoise`."""
    process = make(name)
    for t, s in pairwise([*TIMES, 0.0]):
        from_x, _, variance = bridge_law(process, t, s)
        v_s, v_t, gain = corrupt_law(process, s)[1], corrupt_law(process, t)[1], renoise_law(process, s, t)[0]
        assert from_x == pytest.approx(gain * v_s / v_t, rel=1e-11, abs=1e-15)
        # The conditional variance cancels where t is close to s; its error is absolute in v_s.
        assert variance == pytest.approx(v_s - (gain * v_s) ** 2 / v_t, abs=1e-13 * max(v_s, 1e-3) + 1e-16)
        assert torch.equal(
            process.bridge(UNIT, UNIT, scalar(t), scalar(s), UNIT),
            process.interpolate(UNIT, UNIT, scalar(t), scalar(s), UNIT, 1.0),
        )


@pytest.mark.parametrize("name", ["linear_beta", "scaled_linear_beta", "cosine", "betas"])
def test_on_a_chains_grid_the_bridge_is_ho_et_als_posterior(name):
    process = make(name)
    betas = np.array(process.schedule.betas)
    bar = np.concatenate([[1.0], np.cumprod(1 - betas)])
    t = torch.arange(1, len(betas) + 1, dtype=F64) / len(betas)
    s = torch.arange(0, len(betas), dtype=F64) / len(betas)
    before, now = bar[:-1], bar[1:]
    size = (len(betas), 1)
    one, zero = torch.ones(size, dtype=F64), torch.zeros(size, dtype=F64)
    from_x, lower, upper = process.posterior(one, zero, t, s)
    from_x0, _, _ = process.posterior(zero, one, t, s)
    expected = {
        "x_t": (from_x, np.sqrt(1 - betas) * (1 - before) / (1 - now)),
        "x_0": (from_x0, np.sqrt(before) * betas / (1 - now)),
        "fixed small": (lower, betas * (1 - before) / (1 - now)),
        "fixed large": (upper, betas),
        "bridge": (process.bridge(zero, zero, t, s, one).square(), betas * (1 - before) / (1 - now)),
    }
    for what, (got, value) in expected.items():
        np.testing.assert_allclose(got[:, 0].numpy(), value, rtol=0, atol=1e-12, err_msg=what)


def test_reversed_chain_of_the_sde_for_small_beta():
    """x_{t-1} = (2 - sqrt(1 - beta)) x_t + beta score + sqrt(beta) z (Song et al. 2021, reverse-diffusion predictor) is
    DDPM's move with the large variance, to second order in beta: factors differ by beta^2/4 and beta^2/2."""
    process = Gaussian(linear_beta())
    for i in (2, 100, 500, 1000):
        t, s = scalar(i / 1000), scalar((i - 1) / 1000)
        beta = process.schedule.betas[i - 1]
        alpha, sigma = process.scales(t, UNIT)
        x, score = scalar([[0.7]]), scalar([[-1.3]])
        x0 = (x + sigma**2 * score) / alpha
        mean, _, upper = process.posterior(x, x0, t, s)
        song = (2 - math.sqrt(1 - beta)) * x + beta * score
        assert abs((mean - song).item()) < beta**2 * (0.3 * 0.7 + 0.55 * 1.3)
        assert upper.item() == pytest.approx(beta, rel=1e-10)


def test_times_may_differ_within_a_batch():
    process = make("vp")
    x, x0, noise = torch.randn(3, 2, 3, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    t, s = torch.tensor([0.9, 0.4], dtype=F64), torch.tensor([0.5, 0.1], dtype=F64)
    for method, arguments in [
        (process.corrupt, lambda i: (x0[i], t[i], noise[i])),
        (process.bridge, lambda i: (x[i], x0[i], t[i], s[i], noise[i])),
        (process.renoise, lambda i: (x[i], s[i], t[i], noise[i])),
    ]:
        every = method(*arguments(slice(None)))
        for i in range(2):
            torch.testing.assert_close(every[i], method(*arguments(slice(i, i + 1)))[0], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_prior_is_the_end_for_data_of_unit_second_moment(name):
    process = make(name)
    gain, variance = corrupt_law(process, 1.0)
    assert process.prior(UNIT).item() ** 2 == pytest.approx(gain**2 + variance, rel=1e-14)


@pytest.mark.parametrize(
    "schedule", [Betas((0.1, 0.2, 0.3, 0.4)), Rectified(alpha_min=0.2), VE(sigma_min=0.1, sigma_max=3.0)]
)
def test_prior_kl_is_the_integral(schedule):
    process = Gaussian(schedule)
    alpha, sigma = schedule.alpha(scalar(1.0)), schedule.sigma(scalar(1.0))
    x = torch.linspace(-60, 60, 200_001, dtype=F64)
    for x0 in (0.0, 0.6, -1.7):
        end = torch.distributions.Normal(alpha * x0, sigma).log_prob(x)
        prior = torch.distributions.Normal(scalar(0.0), scalar(process.prior_std())).log_prob(x)
        integral = torch.trapezoid(end.exp() * (end - prior), x).item()
        # The trapezoid rule is exact to round-off on smooth functions that vanish at the ends.
        assert process.prior_kl(scalar([[x0]])).item() == pytest.approx(integral, abs=1e-10)
        assert process.prior_kl(torch.tensor([[x0, x0]])).item() == pytest.approx(2 * integral, rel=1e-5, abs=1e-7)


def test_prior_bits_per_dim_keeps_its_digits_in_float32():
    process = make("cosine")
    x0 = torch.ones(1, 8)
    bits = process.prior_kl(x0).item() / math.log(2) / 8
    assert bits == pytest.approx(process.prior_bits_per_dim(), rel=1e-6)


def test_draw_is_the_streams_normals():
    stream = Stream.of(3, range(2))
    got = make("vp").draw(stream, (5,), step=4, num_steps=2, num_draws=3)
    assert torch.equal(got, stream.normal((5,), step=4, num_steps=2, num_draws=3))


def test_loss_is_the_weighted_mean_square_per_item():
    process = make("vp")
    prediction, x0 = torch.randn(2, 4, 3, 2, dtype=F64, generator=torch.Generator().manual_seed(1))
    t = torch.linspace(0.2, 0.8, 4, dtype=F64)
    for i in range(4):
        alpha, sigma = process.schedule.alpha(t[i]), process.schedule.sigma(t[i])
        expected = ((alpha / sigma) ** 2 + 4) * sum((prediction[i] - x0[i]).flatten() ** 2) / 6
        torch.testing.assert_close(process.loss(prediction, x0, t)[i], expected, rtol=1e-12, atol=0)
