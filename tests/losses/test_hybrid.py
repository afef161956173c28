"""The hybrid loss: what it trains, in continuous time too; the exact variances it leads to are in tests/contracts."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.denoisers import wrap
from pellucid.foundations.errors import UserError
from pellucid.losses import bound_loss, denoising_loss, hybrid_loss, step_divergence
from pellucid.losses.hybrid import earlier
from pellucid.oracles import gaussian_oracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import EDM, VP, Rectified, linear_beta

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


class Two(torch.nn.Module):
    """One parameter for the mean's half of the output, one for the variance's."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.nn.Parameter(torch.tensor(0.3, dtype=F64))
        self.width = torch.nn.Parameter(torch.tensor(0.1, dtype=F64))

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.mean * x, self.width * x.cos()], 1)


@pytest.mark.parametrize("schedule", [linear_beta(), VP(), EDM()])
def test_the_bound_trains_the_variance_alone(schedule):
    network = Two()
    process = Gaussian(schedule)
    hybrid = wrap(network, process, "eps", learned_variance=True)
    x0, noise, t = normal(20, 3), normal(20, 3, seed=1), torch.arange(1, 21, dtype=F64) / 20
    hybrid_loss(hybrid, x0, t, noise, share=1e3).sum().backward()
    found, width = network.mean.grad.clone(), network.width.grad.clone()
    network.zero_grad()
    denoising_loss(hybrid, x0, t, noise).sum().backward()
    torch.testing.assert_close(found, network.mean.grad)
    assert network.width.grad == 0
    assert width != 0


@pytest.mark.parametrize("schedule", [VP(), Rectified(), EDM()])
def test_in_continuous_time_the_least_divergence_is_at_the_exact_variance(schedule):
    """For one normal value of variance w the reverse step's variance is lower (1 + (SNR_s - SNR_t) w/(1 + w SNR_t))."""
    process, w, count = Gaussian(schedule), 0.3, 100
    oracle = gaussian_oracle(process, torch.zeros(1, dtype=F64), torch.tensor(w, dtype=F64))
    unit, noise = normal(count, 1), normal(count, 1, seed=1)
    # Exact second moments, so that the mean is the expectation.
    unit = unit / unit.square().mean().sqrt()
    noise = noise - unit * (unit * noise).mean()
    noise = noise / noise.square().mean().sqrt()
    for level in (0.1, 1.0, 8.0):
        t = schedule.time(torch.full((count,), -2 * math.log(level), dtype=F64))
        s, count_of_steps = earlier(schedule, t)
        assert (count_of_steps == 1000).all()
        snr_t, snr_s = (schedule.log_snr(u).exp() for u in (t, s))
        torch.testing.assert_close(snr_s / snr_t, torch.full_like(s, math.exp(0.02)))
        width = 2 * (schedule.sigma(t) / schedule.sigma(s)).log()
        exact = (1 + (snr_s - snr_t) * w / (1 + w * snr_t)).log() / width
        v = exact[:, None].clone().requires_grad_()
        x0 = math.sqrt(w) * unit
        term = step_divergence(process, oracle(process.corrupt(x0, t, noise), t), x0, t, s, v)
        (slope,) = torch.autograd.grad(term.sum(), v)
        # The mean is round-off of what single items say.
        assert slope.mean().abs() < 1e-6 * slope.std()


def test_rounding_the_time_does_not_move_a_step():
    chain = linear_beta()
    t = torch.arange(1, 1001) / 1000
    s, _ = earlier(chain, t)
    assert s[0] == 0
    torch.testing.assert_close(s, (torch.arange(1000, dtype=F64) / 1000), rtol=0, atol=1e-12)
    process = Gaussian(chain)
    x0 = normal(1000, 2).float()
    term = step_divergence(process, x0 + 0.1, x0, t, s, torch.full_like(x0, 0.5))
    assert torch.isfinite(term).all()
    assert term[0] == 0


def test_the_sum_needs_a_chain():
    process = Gaussian(VP())
    oracle = gaussian_oracle(process, torch.zeros(1), torch.tensor(1.0))
    with pytest.raises(UserError, match=r"discrete chain.*weighting 'likelihood'"):
        bound_loss(oracle, torch.zeros(2, 1), torch.ones(2), torch.zeros(2, 1))
