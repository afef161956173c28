"""Step by step against diffusers' schedulers: the exact mixture denoiser, the same start and the same injected noise.

Their chains count steps from 0, ours from 1: index i is t = (i + 1)/T. Their tables are in float32, whose round-off in
1 - abar is a relative 1e-3 at the first steps; so the tables are compared on their own and then replaced by ours in
float64, and where the two define one method they agree to float64's round-off. DPM-Solver and Heun cast their noise
levels to float32 once more, and agree to that.
"""

from __future__ import annotations

import warnings

import pytest
import torch

from pellucid.foundations.rng import Stream
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.solvers import DDIM, DDPM, DPMpp2M, Heun, sample

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations inside its own imports
    diffusers = pytest.importorskip("diffusers")
    from diffusers.schedulers import scheduling_ddpm

CHAINS = {
    "linear_beta": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear_beta": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
# numpy 2 warns of how diffusers reads a tensor as an array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

F64 = torch.float64
BATCH, SHAPE = 6, (1, 2, 2)


def setup(name):
    process = Gaussian(SCHEDULES[name]())
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(3, *SHAPE, dtype=F64, generator=generator)
    denoiser = MixtureOracle(process, means, torch.tensor([0.05, 0.2, 0.1], dtype=F64))
    stream = Stream.of(1, range(BATCH))
    return process, denoiser, stream, stream.normal(SHAPE, step=0)[0, 0].double()


def exact_tables(theirs, process):
    """Gives their scheduler our chain in float64, once it is seen to be the same chain."""
    ours = process.schedule.alpha(torch.arange(1, 1001, dtype=F64) / 1000).square()
    # A thousand products in float32; the capped cosine ends in 1 - 0.999, with a relative round-off of 6e-5.
    torch.testing.assert_close(theirs.alphas_cumprod.double(), ours, rtol=2e-4, atol=0)
    theirs.alphas_cumprod = ours


def when(index):
    return torch.as_tensor((int(index) + 1) / 1000, dtype=F64)


def grid(indices):
    """Our times of their timesteps, and the end at the data."""
    return torch.tensor([(int(i) + 1) / 1000 for i in indices] + [0.0], dtype=F64)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("num_steps", [200, 20])
@pytest.mark.parametrize("name", CHAINS)
def test_ddim(name, num_steps, eta):
    process, denoiser, stream, x = setup(name)
    theirs = diffusers.DDIMScheduler(
        num_train_timesteps=1000, clip_sample=False, prediction_type="sample", set_alpha_to_one=True, **CHAINS[name]
    )
    exact_tables(theirs, process)
    theirs.set_timesteps(num_steps)
    got = sample(denoiser, x, grid(theirs.timesteps), DDIM(eta), stream=stream)
    for i, index in enumerate(theirs.timesteps):
        noise = stream.normal(SHAPE, step=i + 1)[0, 0].double()
        x = theirs.step(denoiser(x, when(index)), index, x, eta=eta, variance_noise=noise).prev_sample
    torch.testing.assert_close(got, x, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("kind", "variance"), [("fixed_small", 0.0), ("fixed_large", 1.0)])
@pytest.mark.parametrize("num_steps", [200, 20])
@pytest.mark.parametrize("name", CHAINS)
def test_ddpm(name, num_steps, kind, variance, monkeypatch):
    process, denoiser, stream, x = setup(name)
    theirs = diffusers.DDPMScheduler(
        num_train_timesteps=1000, clip_sample=False, prediction_type="sample", variance_type=kind, **CHAINS[name]
    )
    exact_tables(theirs, process)
    theirs.set_timesteps(num_steps)
    got = sample(denoiser, x, grid(theirs.timesteps), DDPM(variance), stream=stream)
    for i, index in enumerate(theirs.timesteps):
        noise = stream.normal(SHAPE, step=i + 1)[0, 0].double()
        monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *_, noise=noise, **__: noise)
        x = theirs.step(denoiser(x, when(index)), index, x).prev_sample
    torch.testing.assert_close(got, x, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", CHAINS)
def test_dpm_solver(name):
    """final_sigmas_type="zero" makes their last step first order to zero noise, as ours. Their default lambda clipping
    for the cosine chain is off on both sides (lambda_min_clipped = -inf)."""
    process, denoiser, _, x = setup(name)
    theirs = diffusers.DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        prediction_type="sample",
        final_sigmas_type="zero",
        **CHAINS[name],
    )
    exact_tables(theirs, process)
    theirs.set_timesteps(20)
    got = sample(denoiser, x, grid(theirs.timesteps), DPMpp2M())
    for index in theirs.timesteps:
        x = theirs.step(denoiser(x, when(index)), index, x).prev_sample
    torch.testing.assert_close(got, x, rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", ["linear_beta", "scaled_linear_beta"])
def test_heun(name):
    """Theirs runs on y = x/alpha with sigma/alpha as noise. Its timesteps are fractional: ours come from its noise."""
    process, denoiser, _, x = setup(name)
    theirs = diffusers.HeunDiscreteScheduler(num_train_timesteps=1000, prediction_type="epsilon", **CHAINS[name])
    exact_tables(theirs, process)
    theirs.set_timesteps(15)
    # All but the first and the last stand twice there, for the two evaluations of a step.
    noise = torch.cat([theirs.sigmas[:1], theirs.sigmas[1:-1:2], theirs.sigmas[-1:]]).double()
    times = torch.cat([process.schedule.time(-2 * noise[:-1].log()), torch.zeros(1, dtype=F64)])
    got = sample(denoiser, x, times, Heun())
    y = x / process.schedule.alpha(times[0])
    for timestep in theirs.timesteps:
        sigma = theirs.sigmas[theirs.step_index if theirs.step_index is not None else 0].double()
        t = process.schedule.time(-2 * sigma.log())
        estimate = denoiser(process.schedule.alpha(t) * y, t)
        y = theirs.step((y - estimate) / sigma, timestep, y).prev_sample
    torch.testing.assert_close(got, y, rtol=0, atol=2e-4)
