"""Training losses and the laws of training times; the loss's minimum is in tests/contracts."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.denoisers import wrap
from pellucid.foundations.rng import Stream
from pellucid.losses import DENSITIES, LogitNormal, LogNormal, Uniform, denoising_loss, stratify
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import EDM, SCHEDULES, VP, Betas, Rectified, linear_beta

F64 = torch.float64
NAMES = sorted(set(SCHEDULES) - {"betas"})
U = torch.tensor([0.0, 0.025, 0.25, 0.5, 0.75, 0.975, 1 - 2**-24])
Z = [-1.959963984540054, -0.6744897501960817, 0.0, 0.6744897501960817, 1.959963984540054]


@pytest.mark.parametrize("schedule", NAMES)
@pytest.mark.parametrize("name", DENSITIES)
def test_times_rise_with_u_and_lie_in_range(name, schedule):
    u = torch.cat([U, torch.linspace(0, 1 - 2**-24, 999)]).sort().values
    times = DENSITIES[name]().times(SCHEDULES[schedule](), u)
    assert times.dtype == torch.float32
    assert times.min() > 0
    assert times.max() <= 1
    assert (times.diff() >= 0).all()


def test_uniform_quantiles():
    expected = 1e-3 + 0.999 * U
    torch.testing.assert_close(Uniform().times(VP(), U), expected)
    steps = Uniform().times(linear_beta(), torch.arange(1000) / 1000 + 1e-4)
    torch.testing.assert_close(steps, torch.arange(1, 1001) / 1000)
    # Each step of a chain has the same share.
    u = (torch.arange(8000) + 0.5) / 8000
    times = Uniform().times(Betas((0.1, 0.2, 0.3, 0.4)), u)
    assert [(times == t).sum().item() for t in (0.25, 0.5, 0.75, 1.0)] == [2000] * 4


@pytest.mark.parametrize("schedule", [VP(), EDM(), Rectified(), linear_beta()])
def test_log_normal_quantiles_are_those_of_the_noise(schedule):
    times = LogNormal(mean=-1.0, std=0.8).times(schedule, torch.tensor([0.025, 0.25, 0.5, 0.75, 0.975], dtype=F64))
    noise = (schedule.sigma(times) / schedule.alpha(times)).log()
    # u moves by at most 2^-25, which the normal quantile's slope (17 at 0.025) turns into 5e-7.
    torch.testing.assert_close(noise, -1.0 + 0.8 * torch.tensor(Z, dtype=F64), rtol=0, atol=1e-6)


def test_logit_normal_quantiles():
    times = LogitNormal(mean=0.3, std=1.2).times(VP(), torch.tensor([0.025, 0.25, 0.5, 0.75, 0.975], dtype=F64))
    torch.testing.assert_close(times.logit(), 0.3 + 1.2 * torch.tensor(Z, dtype=F64), rtol=0, atol=1e-6)


def test_stratified_numbers_cover_the_circle_and_stay_uniform():
    count, rounds = 16, 4000
    u = Stream.of(0, range(rounds)).uniform((count,), step=0)[0, 0]
    shifts = Stream.of(0, range(rounds)).uniform((), step=1)[0, 0]
    spread = torch.stack([stratify(row, shift) for row, shift in zip(u, shifts, strict=True)])
    assert spread.min() >= 0
    assert spread.max() < 1
    # One number in each of the cells of the shifted circle.
    places = ((spread - shifts[:, None]) % 1.0 * count).floor().long().sort(1).values
    # Round-off moves a number across a cell's border about once in 1e6.
    assert (places == torch.arange(count)).all(1).double().mean() > 0.999
    # Each position is uniform on its own: mean and variance within four standard errors.
    assert (spread.mean(0) - 0.5).abs().max() < 4.5 * math.sqrt(1 / 12 / rounds)
    assert (spread.var(0) - 1 / 12).abs().max() < 4.5 * math.sqrt((1 / 80 - 1 / 144) / rounds)
    # And the mean of a batch varies by 1/B^2 of what independent numbers have, apart from the shift on the circle.
    plain = torch.stack([stratify(row) for row in u])
    assert plain.mean(1).var().item() == pytest.approx(1 / 12 / count**3, rel=4 * math.sqrt(2 / rounds))


def test_loss_passes_conditions_and_goes_through_call():
    process = Gaussian(VP())
    means, variances = torch.tensor([[-2.0], [2.0]]), torch.tensor([0.01, 0.01])
    oracle = MixtureOracle(process, means, variances, labels=torch.tensor([0, 1]))
    label = torch.tensor([0, 1] * 50)
    x0 = means[label]
    t, noise = torch.full((100,), 0.9), Stream.of(1, range(100)).normal((1,), step=0)[0, 0]
    right = denoising_loss(oracle, x0, t, noise, label=label).mean()
    wrong = denoising_loss(oracle, x0, t, noise, label=1 - label).mean()
    assert right < 1e-2 * wrong

    class Network(torch.nn.Module):
        def forward(self, x, c, *, label):
            return x

    denoiser = wrap(Network(), process, "edm")
    seen = []
    denoiser.register_forward_hook(lambda *_: seen.append(1))
    loss = denoising_loss(denoiser, x0, t, noise, label=label)
    assert loss.shape == (100,)
    assert seen == [1]


def test_edm_loss_is_the_plain_error_of_the_networks_output():
    """w out^2 = 1: the loss of a network that returns F is |F - F*|^2, for F* the output that gives x_0 back."""
    process = Gaussian(Rectified())
    x0, noise, answer = torch.randn(3, 20, 4, dtype=F64, generator=torch.Generator().manual_seed(3))
    t = torch.linspace(0.05, 1, 20, dtype=F64)

    class Network(torch.nn.Module):
        def forward(self, x, c):
            return answer

    denoiser = wrap(Network(), process, "edm")
    skip, out, _ = (v[:, None] for v in denoiser.target.coefficients(process, t))
    ideal = (x0 - skip * process.corrupt(x0, t, noise)) / out
    expected = (answer - ideal).square().mean(1)
    torch.testing.assert_close(denoising_loss(denoiser, x0, t, noise), expected, rtol=1e-10, atol=0)
