"""The wrapper: what the network is told and gives; the contracts of targets are in tests/contracts."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.denoisers import (
    TARGETS,
    Denoiser,
    LearnedVariance,
    NetworkDenoiser,
    eps_from_x0,
    score_from_x0,
    wrap,
)
from pellucid.foundations.errors import UserError
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES

F64 = torch.float64
NAMES = sorted(set(SCHEDULES) - {"betas"})


class Linear(torch.nn.Module):
    """A network whose answer depends on all it is given."""

    def __init__(self, channels=1):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.3, dtype=F64))
        self.channels = channels
        self.calls = []

    def forward(self, x, c, *, label=None):
        self.calls.append((x.detach(), c, label))
        out = self.gain * x + c.reshape(-1, *[1] * (x.ndim - 1))
        return torch.cat([out] + [torch.tanh(x)] * (self.channels - 1), 1)


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", NAMES)
def test_network_is_told_a_quarter_of_the_log_noise(name):
    schedule = SCHEDULES[name]()
    denoiser = wrap(Linear(), Gaussian(schedule), "x0")
    t = torch.tensor([0.2, 0.5, 1.0], dtype=F64)
    denoiser(randn(3, 2), t)
    torch.testing.assert_close(denoiser.network.calls[0][1], -schedule.log_snr(t) / 8, rtol=1e-12, atol=1e-12)
    denoiser(randn(3, 2), t[1])
    assert torch.equal(denoiser.network.calls[1][1], denoiser.network.calls[0][1][[1, 1, 1]])
    # Finite on data.
    assert denoiser.noise_level(torch.zeros(())) == pytest.approx(math.log(1e-5) / 4, rel=1e-6)


@pytest.mark.parametrize("name", TARGETS)
def test_the_schedule_does_not_matter_to_an_exact_law(name):
    """A variance-preserving and an exploding process with one sigma/alpha have one posterior mean, for x scaled by the
    ratio of their alphas: whatever the target, at a time given per item or for all."""
    means, variances = torch.tensor([[-1.0, 0.0], [0.5, 1.0]], dtype=F64), torch.tensor([0.1, 0.3], dtype=F64)
    chain, other = Gaussian(SCHEDULES["linear_beta"]()), Gaussian(SCHEDULES["edm"]())
    t = torch.tensor([0.1, 0.5, 0.9], dtype=F64)
    s = other.schedule.time(chain.schedule.log_snr(t))
    alpha = chain.schedule.alpha(t)[:, None]
    x = randn(3, 2)

    class Exact(torch.nn.Module):
        """The network inside the exact denoiser of `process`."""

        def __init__(self, process, t):
            super().__init__()
            self.process, self.t = process, t

        def forward(self, scaled, c):
            skip, out, scale = (v[:, None] for v in TARGETS[name]().coefficients(self.process, self.t))
            x = scaled / scale
            return (MixtureOracle(self.process, means, variances)(x, self.t) - skip * x) / out

    left = NetworkDenoiser(Exact(chain, t), chain, TARGETS[name]())(x, t)
    if name != "mu":
        right = NetworkDenoiser(Exact(other, s), other, TARGETS[name]())(x / alpha, s)
        torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(left, MixtureOracle(other, means, variances)(x / alpha, s), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_edm_inputs_and_outputs_have_unit_variance(name):
    """Karras et al. 2022, appendix B.6: for data of variance 0.25 the network's input has variance 1, what it must
    return has variance 1, and its error is magnified least."""
    process = Gaussian(SCHEDULES[name]())
    t = torch.linspace(0.05, 1, 20, dtype=F64)
    alpha, sigma = process.schedule.alpha(t), process.schedule.sigma(t)
    skip, out, scale = TARGETS["edm"]().coefficients(process, t)
    one = torch.ones_like(t)
    torch.testing.assert_close(scale**2 * (alpha**2 * 0.25 + sigma**2), one, rtol=1e-12, atol=0)
    # F = ((1 - skip alpha) x_0 - skip sigma eps)/out.
    torch.testing.assert_close(((1 - skip * alpha) ** 2 * 0.25 + (skip * sigma) ** 2) / out**2, one, rtol=1e-10, atol=0)
    # d out^2/d skip = 0: the skip that makes the output's factor least.
    slope = -2 * alpha * (1 - skip * alpha) * 0.25 + 2 * skip * sigma**2
    assert (slope.abs() < 1e-12 * sigma.clamp_min(1) ** 2).all()
    torch.testing.assert_close(process.weighting(alpha, sigma) * out**2, one, rtol=1e-10, atol=0)


def test_mu_needs_a_chain():
    with pytest.raises(UserError, match="'mu' needs a discrete chain"):
        wrap(Linear(), Gaussian(SCHEDULES["vp"]()), "mu")(randn(1, 2), torch.tensor(0.5))


def test_mu_on_the_first_step_is_the_data():
    denoiser = wrap(Linear(), Gaussian(SCHEDULES["linear_beta"]()), "mu")
    x, t = randn(2, 3), torch.tensor(1 / 1000, dtype=F64)
    torch.testing.assert_close(denoiser(x, t), denoiser.network(x, denoiser.noise_level(t).expand(2)))


def test_learned_variance_takes_half_of_the_output():
    process = Gaussian(SCHEDULES["linear_beta"]())
    denoiser = wrap(Linear(channels=2), process, "eps", learned_variance=True)
    plain = wrap(Linear(), process, "eps")
    x, t = randn(2, 3, 4), torch.tensor([0.2, 0.7], dtype=F64)
    x0, v = denoiser.moments(x, t)
    torch.testing.assert_close(x0, plain(x, t))
    torch.testing.assert_close(denoiser(x, t), plain(x, t))
    torch.testing.assert_close(v, (torch.tanh(x) + 1) / 2)
    with pytest.raises(UserError, match="learned no variance"):
        plain.moments(x, t)


def test_conditions_reach_the_network_and_gradients_the_weights():
    denoiser = wrap(Linear(), Gaussian(SCHEDULES["vp"]()), "edm")
    label = torch.tensor([3, 1])
    denoiser(randn(2, 3), torch.tensor(0.5, dtype=F64), label=label).sum().backward()
    assert denoiser.network.calls[0][2] is label
    assert denoiser.network.gain.grad.abs() > 0


def test_half_precision_networks_return_the_data_precision():
    class Half(torch.nn.Module):
        def forward(self, x, c):
            return x.bfloat16()

    x0 = wrap(Half(), Gaussian(SCHEDULES["vp"]()), "edm")(torch.randn(2, 3), torch.tensor(0.5))
    assert x0.dtype == torch.float32


def test_noise_and_score_from_an_estimate_are_its_inverse():
    process, t = Gaussian(SCHEDULES["sub_vp"]()), torch.tensor([0.2, 0.7], dtype=F64)
    x0, eps = randn(2, 2, 3)
    x = process.corrupt(x0, t, eps)
    torch.testing.assert_close(eps_from_x0(process, x, x0, t), eps, rtol=1e-9, atol=1e-9)
    sigma = process.schedule.sigma(t)[:, None]
    torch.testing.assert_close(score_from_x0(process, x, x0, t), -eps / sigma, rtol=1e-9, atol=1e-9)


def test_protocols_and_names():
    process = Gaussian(SCHEDULES["vp"]())
    denoiser = wrap(Linear(), process, "v")
    assert isinstance(denoiser, Denoiser)
    assert isinstance(denoiser, LearnedVariance)
    assert isinstance(MixtureOracle(process, torch.zeros(1, 2), torch.ones(1)), Denoiser)
    assert not isinstance(MixtureOracle(process, torch.zeros(1, 2), torch.ones(1)), LearnedVariance)
    with pytest.raises(UserError, match="unknown target 'esp'; did you mean 'eps'"):
        wrap(Linear(), process, "esp")


def test_any_function_is_wrapped_and_told_of_the_time_as_it_was_trained() -> None:
    process = Gaussian(SCHEDULES["linear_beta"]())
    heard: list[torch.Tensor] = []

    def network(x: torch.Tensor, c: torch.Tensor, *, label: torch.Tensor) -> torch.Tensor:
        heard.append(c)
        return label * x

    denoiser = wrap(network, process, "x0", told=lambda t: 1000 * t - 1)
    x = randn(2, 3)
    got = denoiser(x, torch.tensor([0.5, 0.25]), label=torch.tensor(2.0))
    torch.testing.assert_close(got, 2 * x)
    assert heard[0].tolist() == [499.0, 249.0]
    assert not list(denoiser.parameters())
    assert len(list(wrap(torch.nn.Linear(3, 3), process, "x0").parameters())) == 2
