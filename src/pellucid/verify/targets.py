"""Every prediction target tells of the same denoiser."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..denoisers import TARGETS, NetworkDenoiser
from ..processes.gaussian import Gaussian
from ..processes.schedules import SCHEDULES, Betas
from .likelihood import draws, law
from .outcome import Outcome, below

F64 = torch.float64
_SIGMA_DATA = 0.5


class _Answer(nn.Module):
    """A network that returns what it is told to."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.output


def outputs(process: Gaussian, x: Tensor, x0: Tensor, step: int) -> dict[str, Tensor]:
    """What a network of each target returns for the denoised estimate x0 at x, from the targets' definitions, at one
    step of a chain."""
    assert isinstance(process.schedule, Betas)
    betas = torch.tensor(process.schedule.betas, dtype=F64)
    bar = torch.cat([torch.ones(1, dtype=F64), (1 - betas).cumprod(0)])
    now, before, beta = bar[step], bar[step - 1], betas[step - 1]
    alpha, sigma = now.sqrt(), (1 - now).sqrt()
    eps = (x - alpha * x0) / sigma
    level = sigma / alpha  # Karras et al. work with x/alpha, whose noise is this
    total = level.square() + _SIGMA_DATA**2
    return {
        "x0": x0,
        "eps": eps,
        "v": alpha * eps - sigma * x0,
        "score": -eps / sigma,
        "flow": eps - x0,
        "mu": before.sqrt() * beta / (1 - now) * x0 + (1 - beta).sqrt() * (1 - before) / (1 - now) * x,
        "edm": (x0 - _SIGMA_DATA**2 / total * x / alpha) * total.sqrt() / (level * _SIGMA_DATA),
    }


def parameterisations() -> Iterator[Outcome]:
    """The exact denoiser of a mixture, said in each target's terms, comes back the same."""
    oracle = law("linear_beta", 2, 4)
    process = Gaussian(SCHEDULES["linear_beta"]())
    x_0 = draws(oracle, 64)
    noise = draws(law("linear_beta", 2, 1), 64)
    gaps = dict.fromkeys(TARGETS, 0.0)
    for step in (1, 30, 500, 900):
        t = torch.tensor(step / 1000, dtype=F64)
        x = process.corrupt(x_0, t, noise)
        x0 = oracle(x, t)
        said = outputs(process, x, x0, step)
        for name, make in TARGETS.items():
            found = NetworkDenoiser(_Answer(said[name]), process, make())(x, t)
            gaps[name] = max(gaps[name], (found - x0).abs().max().item())
    for name, gap in gaps.items():
        text = f"{name}: the denoiser it tells of against the exact one"
        yield below(text, gap, 1e-9, "round-off, magnified where alpha is small")
