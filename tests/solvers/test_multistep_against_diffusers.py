"""Multistep methods against diffusers' where its method is what it says, and the measured difference where it is not.

Set up as in `test_against_diffusers.py`: the exact mixture denoiser, the same start, the same noise, our tables.
"""

from __future__ import annotations

import warnings

import pytest
import torch

from pellucid.foundations.rng import Stream
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.solvers import RK4, Adams, DPMpp2MSDE, SASolver, UniPC, sample

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations inside its own imports
    diffusers = pytest.importorskip("diffusers")
    from diffusers.schedulers import scheduling_sasolver

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

F64 = torch.float64
BATCH, SHAPE = 6, (1, 2, 2)
CHAIN = {"num_train_timesteps": 1000, "beta_schedule": "linear", "prediction_type": "sample"}


class Setting:
    def __init__(self, theirs, num_steps):
        self.process = Gaussian(SCHEDULES["linear_beta"]())
        means = torch.randn(3, *SHAPE, dtype=F64, generator=torch.Generator().manual_seed(0))
        self.denoiser = MixtureOracle(self.process, means, torch.tensor([0.05, 0.2, 0.1], dtype=F64))
        self.stream = Stream.of(1, range(BATCH))
        self.start = self.stream.normal(SHAPE, step=0)[0, 0].double()
        self.theirs = theirs
        theirs.alphas_cumprod = self.process.schedule.alpha(torch.arange(1, 1001, dtype=F64) / 1000).square()
        theirs.set_timesteps(num_steps)
        self.times = torch.tensor([(int(i) + 1) / 1000 for i in theirs.timesteps] + [0.0], dtype=F64)

    def noise(self, i):
        return self.stream.normal(SHAPE, step=i + 1)[0, 0].double()

    def run(self, **options):
        x = self.start
        for i, index in enumerate(self.theirs.timesteps):
            x0 = self.denoiser(x, self.times[i])
            x = self.theirs.step(x0, index, x, **{key: value(i) for key, value in options.items()}).prev_sample
        return x

    def ours(self, solver):
        return sample(self.denoiser, self.start, self.times, solver, stream=self.stream)


@pytest.mark.parametrize("steps", [2, 3])
def test_unipc(steps):
    """B(h) = e^h - 1 in data prediction. Their last steps fall to lower orders; ours only the one to zero noise, so the
    comparison stops before theirs begin."""
    theirs = diffusers.UniPCMultistepScheduler(
        **CHAIN, solver_order=steps, solver_type="bh2", predict_x0=True, lower_order_final=False,
        final_sigmas_type="zero",
    )  # fmt: skip
    setting = Setting(theirs, 20)
    seen = []
    sample(setting.denoiser, setting.start, setting.times, UniPC(steps), callback=lambda i, t, s, x: seen.append(x))
    x = setting.start
    for i, index in enumerate(theirs.timesteps[:-1]):
        x = theirs.step(setting.denoiser(x, setting.times[i]), index, x).prev_sample
        # Their noise levels are float32, whose round-off the multistep weights magnify.
        torch.testing.assert_close(seen[i], x.double(), rtol=0, atol=1e-4)


def dpm(**options):
    return diffusers.DPMSolverMultistepScheduler(**CHAIN, final_sigmas_type="zero", **options)


def test_dpm_2m_sde():
    setting = Setting(dpm(algorithm_type="sde-dpmsolver++", solver_order=2, solver_type="midpoint"), 20)
    got = setting.run(variance_noise=setting.noise)
    torch.testing.assert_close(setting.ours(DPMpp2MSDE()), got.double(), rtol=0, atol=1e-4)


def test_dpm_3m_there_halves_the_second_difference():
    """Theirs is our method with the second difference halved, an error of second order where ours is of third: when the
    steps are halved our error falls by eight and theirs by four, to within what the first steps add."""
    errors = {}
    for count in (50, 100, 200):
        setting = Setting(dpm(algorithm_type="dpmsolver++", solver_order=3, lower_order_final=False), count)
        stop = int(count * 0.8)  # later steps are long in log-SNR, on their way to zero noise
        reference, ours = (sample(setting.denoiser, setting.start, setting.times[: stop + 1], solver)
                           for solver in (RK4(), Adams(order=3)))  # fmt: skip
        x = setting.start
        for i, index in enumerate(setting.theirs.timesteps[:stop]):
            x = setting.theirs.step(setting.denoiser(x, setting.times[i]), index, x).prev_sample
        errors[count] = [(y.double() - reference).square().mean().sqrt().item() for y in (x, ours)]
    falls = {name: [errors[n][i] / errors[2 * n][i] for n in (50, 100)] for i, name in enumerate(("theirs", "ours"))}
    assert all(fall > 6 for fall in falls["ours"]), falls
    assert all(fall < 5.5 for fall in falls["theirs"]), falls


def test_sa_solver(monkeypatch):
    """Predictor and corrector of three values: with two theirs takes the middle of the step instead of the integral.
    Theirs ends at the first time of the chain."""
    theirs = diffusers.SASolverScheduler(
        **CHAIN, predictor_order=3, corrector_order=3, tau_func=lambda t: 1.0, algorithm_type="data_prediction",
        lower_order_final=False,
    )  # fmt: skip
    setting = Setting(theirs, 40)
    seen = []
    sample(
        setting.denoiser, setting.start, setting.times[:-1], SASolver(predictor=3, corrector=3), stream=setting.stream,
        callback=lambda i, t, s, x: seen.append(x),
    )  # fmt: skip
    x = setting.start
    for i, index in enumerate(theirs.timesteps[:-1]):
        monkeypatch.setattr(scheduling_sasolver, "randn_tensor", lambda *_, i=i, **__: setting.noise(i))
        x = theirs.step(setting.denoiser(x, setting.times[i]), index, x).prev_sample
        torch.testing.assert_close(seen[i], x.double(), rtol=0, atol=1e-4)
