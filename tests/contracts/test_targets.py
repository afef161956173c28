"""Every registered target keeps the contract of targets."""

from __future__ import annotations

import checks
import laws
import pytest
import torch

from pellucid.denoisers import TARGETS, NetworkDenoiser
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES

CHAINS = ("linear_beta", "scaled_linear_beta", "cosine")
PAIRS = [(target, schedule) for target in TARGETS for schedule in SCHEDULES if target != "mu" or schedule in CHAINS]


@pytest.mark.parametrize(("target", "schedule"), PAIRS)
def test_defined_output_gives_the_data_back(target, schedule):
    checks.target_returns_data(target, TARGETS[target](), checks.make_schedule(schedule))


class OracleNetwork(torch.nn.Module):
    """The network that a perfectly trained denoiser of the target has inside: it sees the scaled input and the noise
    level alone, and answers from the exact law."""

    def __init__(self, name, process, t):
        super().__init__()
        self.name, self.process, self.t = name, process, t

    def forward(self, scaled, c):
        process, t = self.process, self.t
        alpha, sigma = process.schedule.alpha(t), process.schedule.sigma(t)
        # 1 for all targets but EDM's, whose input has unit variance for data of standard deviation 0.5.
        scale = (alpha**2 * 0.25 + sigma**2).rsqrt() if self.name == "edm" else torch.ones_like(alpha)
        x = scaled / scale
        x0 = laws.Mixture(process)(x, t)
        eps = (x - alpha * x0) / sigma
        return checks.target_output(self.name, process, x0, eps, t)


@pytest.mark.parametrize("when", [0.02, 0.4, 0.95])
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_the_same_denoiser(target, when):
    process, t = Gaussian(SCHEDULES["linear_beta"]()), checks.scalar(when)
    x = torch.linspace(-3, 3, 11, dtype=torch.float64)[:, None]
    denoiser = NetworkDenoiser(OracleNetwork(target, process, t), process, TARGETS[target]())
    # Magnified by at most sigma/alpha/beta = 1e4 (mu at high noise).
    torch.testing.assert_close(denoiser(x, t), laws.Mixture(process)(x, t), rtol=1e-9, atol=1e-10)
