"""Predictor and corrector, and churn: their exact laws on normal data, and the formulas of their sources."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES, linear_beta
from pellucid.solvers import EDMChurn, EulerMaruyama, Heun, ReverseDiffusion

F64 = torch.float64


def normal(process, mean=1.3, variance=0.25):
    return MixtureOracle(process, torch.tensor([[mean]], dtype=F64), torch.tensor([variance], dtype=F64))


def scalar(value):
    return torch.tensor(value, dtype=F64)


def affine(solver, denoiser, t, s):
    """Offset, gain of the state and gains of each noise of one step: all of a step on normal data."""
    x = torch.zeros(2 + solver.draws, 1, dtype=F64)
    x[1] = 1
    noise = torch.zeros(solver.draws, len(x), 1, dtype=F64)
    for d in range(solver.draws):
        noise[d, 2 + d] = 1
    y = solver(denoiser, x, t, s, noise, None)[0][:, 0]
    return y[0], y[1] - y[0], y[2:] - y[0]


def test_reverse_diffusion_is_the_chain_s_own_step():
    """x_s = (2 - sqrt(1 - beta)) x + beta score + sqrt(beta) z, written with the chain's beta."""
    chain = linear_beta()
    denoiser = normal(Gaussian(chain))
    x, noise = torch.randn(2, 5, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
    for i in (2, 400, 1000):
        t, s, beta = scalar(i / 1000), scalar((i - 1) / 1000), chain.betas[i - 1]
        expected = (2 - math.sqrt(1 - beta)) * x + beta * denoiser.score(x, t) + math.sqrt(beta) * noise
        got, _ = ReverseDiffusion()(denoiser, x, t, s, noise[None], None)
        # 1 - abar of the first steps carries a round-off of 1e-13.
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-11)


def test_reverse_diffusion_ends_without_noise():
    denoiser = normal(Gaussian(linear_beta()))
    _, _, noise = affine(ReverseDiffusion(corrector_steps=2), denoiser, scalar(0.001), scalar(0.0))
    assert (noise == 0).all()


@pytest.mark.parametrize("name", ["vp", "ve", "rectified"])
def test_corrector_settles_at_its_stated_bias(name):
    """Many moves at one level: the mean is the law's, the variance V/(1 - e/2V), e = 2 (snr sigma)^2."""
    process, snr = Gaussian(SCHEDULES[name]()), 0.3
    denoiser = normal(process)
    t, s = process.schedule.time(torch.tensor([-2 * math.log(0.31), -2 * math.log(0.3)], dtype=F64)).unbind()
    alpha, sigma = process.schedule.alpha(s), process.schedule.sigma(s)
    # What two more corrector moves add to a step is two moves' own map.
    runs = [affine(ReverseDiffusion(corrector_steps=n, snr=snr), denoiser, t, s) for n in (0, 1)]
    gain = runs[1][1] / runs[0][1]
    offset = runs[1][0] - gain * runs[0][0]
    fresh = runs[1][2][-1]
    total = alpha**2 * 0.25 + sigma**2
    torch.testing.assert_close(offset / (1 - gain), 1.3 * alpha, rtol=1e-10, atol=0)
    settled = fresh**2 / (1 - gain**2)
    torch.testing.assert_close(settled, total / (1 - (snr * sigma) ** 2 / total), rtol=1e-9, atol=0)


def test_euler_maruyama_is_anderson_s_sde():
    process = Gaussian(SCHEDULES["vp"]())
    denoiser, schedule = normal(process), process.schedule
    x, noise = torch.randn(2, 5, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
    t, s = scalar(0.5), scalar(0.47)
    f, g = schedule.drift(t), schedule.diffusion(t)
    expected = x + (s - t) * (f * x - g**2 * denoiser.score(x, t)) + g * (t - s).sqrt() * noise
    got, _ = EulerMaruyama()(denoiser, x, t, s, noise[None], None)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["vp", "ve", "edm", "rectified"])
def test_churn_is_noise_then_heun(name):
    process = Gaussian(SCHEDULES[name]())
    denoiser, schedule = normal(process), process.schedule
    x, noise = torch.randn(2, 5, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
    t, s = schedule.time(-2 * torch.tensor([1.0, 0.8], dtype=F64).log()).unbind()
    # log(1 + gamma) = 0.7 log(1/0.8)
    up = schedule.time(-2 * scalar(0.8**-0.7).log())
    expected, _ = Heun()(denoiser, process.renoise(x, t, up, noise), up, s, noise[:0], None)
    got, _ = EDMChurn(churn=0.7)(denoiser, x, t, s, noise[None], None)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)
    for still in (EDMChurn(churn=0.0), EDMChurn(noise_min=1.1), EDMChurn(noise_max=0.9)):
        got, _ = still(denoiser, x, t, s, noise[None], None)
        torch.testing.assert_close(got, Heun()(denoiser, x, t, s, noise[:0], None)[0], rtol=0, atol=0)


def test_churn_is_capped_and_ends_quietly():
    process = Gaussian(SCHEDULES["ve"]())
    denoiser = normal(process)
    t, s = process.schedule.time(-2 * torch.tensor([1.0, 0.1], dtype=F64).log()).unbind()
    up = process.schedule.time(-scalar(2.0).log())
    x, noise = torch.ones(1, 1, dtype=F64), torch.ones(1, 1, dtype=F64)
    expected, _ = Heun()(denoiser, process.renoise(x, t, up, noise), up, s, noise[:0], None)
    torch.testing.assert_close(EDMChurn(churn=50.0)(denoiser, x, t, s, noise[None], None)[0], expected)
    assert affine(EDMChurn(churn=50.0), denoiser, t, scalar(0.0))[2] == 0


def test_mistakes_are_told():
    with pytest.raises(UserError, match="corrector_steps must be 0 or more"):
        ReverseDiffusion(corrector_steps=-1)
    with pytest.raises(UserError, match="snr positive"):
        ReverseDiffusion(snr=0.0)
    with pytest.raises(UserError, match="churn and noise_scale must be 0 or more"):
        EDMChurn(churn=-0.1)
