r"""The checks that a trained model can be put to, on its own held-out data.

The posterior covariance of an exact denoiser is its Jacobian, Cov[x_0 | x_t] = sigma^2/alpha d x_0(x)/dx (the second
order of Tweedie's formula). So a denoiser states its own error,

    E || x_0 - x_0(x_t) ||^2 = sigma^2/alpha E tr(d x_0(x)/dx),                                                   (1)

and the real one on held-out items says whether the statement is true: below 1, the model promises more than it keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.rng import Stream
from ..processes.gaussian import Gaussian
from ..solvers import SOLVERS, sample
from .outcome import Outcome, below, near

F64 = torch.float64
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Calibration:
    """Equation (1) at one noise level.

    Attributes:
        noise: sigma/alpha.
        real: mean squared error per value on held-out items.
        stated: what the denoiser states of it.
        ratio: real/stated.
        error: the ratio's standard error.
    """

    noise: float
    real: float
    stated: float
    ratio: float
    error: float


def calibration(denoiser: Denoiser, x0: Tensor, *, label: Tensor | None = None, seed: int = 0) -> list[Calibration]:
    """Equation (1) at `LEVELS`, with the trace by one Rademacher probe an item.

    Args:
        denoiser: of a Gaussian process.
        x0: held-out items, (B, *).
        label: their classes, (B,), or None.
        seed: of noise and probes.
    """
    process = denoiser.process
    assert isinstance(process, Gaussian)
    stream = Stream(seed, torch.arange(len(x0), device=x0.device))
    cond = {} if label is None else {"label": label}
    found = []
    for i, noise_level in enumerate(LEVELS):
        t = process.schedule.time(torch.tensor(-2 * math.log(noise_level), dtype=F64))
        if t >= 1:
            break
        alpha, sigma = process.scales(t, x0)
        noise, probe = stream.normal(tuple(x0.shape[1:]), step=2 * i, num_steps=2)[:, 0]
        probe = probe.sign()
        x = process.corrupt(x0, t, noise).requires_grad_()
        with torch.enable_grad():
            estimate = denoiser(x, t, **cond)
            (pulled,) = torch.autograd.grad(estimate, x, probe)
        stated = (sigma**2 / alpha * (pulled * probe).flatten(1).mean(1)).double()
        real = (x0 - estimate.detach()).square().flatten(1).mean(1).double()
        ratio = (real.mean() / stated.mean()).item()
        # The delta method for a ratio of means over items.
        spread = (real - ratio * stated).std() / stated.mean().abs() / math.sqrt(len(x0))
        found.append(Calibration(noise_level, real.mean().item(), stated.mean().item(), ratio, spread.item()))
    return found


def calibrated(denoiser: Denoiser, x0: Tensor, label: Tensor | None) -> Iterator[Outcome]:
    """Whether stated and real error agree within a quarter at every noise level."""
    for level in calibration(denoiser, x0, label=label):
        low, high = 0.75 - 2 * level.error, 1.25 + 2 * level.error
        yield Outcome(
            f"denoiser at noise {level.noise:g}: real over stated error",
            "1",
            f"{level.ratio:.3f} +- {level.error:.3f} (rms {math.sqrt(level.real):.4f})",
            "0.25 and two standard errors",
            "a trained network is no exact posterior mean; beyond a quarter its own uncertainty misleads",
            low <= level.ratio <= high,
        )


def end_of_schedule(process: Gaussian, second_moment: float) -> Iterator[Outcome]:
    """The lecture's second claim, on this schedule and data."""
    bits = process.prior_bits_per_dim(second_moment)
    yield below("q(x_1 | x_0) against the prior, bits/dim", bits, 0.01, "more would be visible in samples and bounds")


def markov(process: Gaussian, x0: Tensor, *, seed: int = 0) -> Iterator[Outcome]:
    """The lecture's first and third claims, on the model's own data: noise in two steps is noise in one, and the way
    back through the bridge gives the forward marginal."""
    stream = Stream(seed, torch.arange(len(x0), device=x0.device))
    one, two, three = stream.normal(tuple(x0.shape[1:]), step=0, num_steps=3)[:, 0]
    s, t = (process.schedule.time(torch.tensor(-2 * math.log(level), dtype=F64)) for level in (0.5, 2.0))
    middle = process.corrupt(x0, s, one)
    alpha_s, sigma_s = (v.item() for v in process.scales(s, x0))
    alpha_t, sigma_t = (v.item() for v in process.scales(t, x0))
    late = process.renoise(middle, s, t, two)
    back = process.bridge(late, x0, t, s, three)
    count = x0.numel()
    for name, x, alpha, sigma in (
        ("forward in two steps", late, alpha_t, sigma_t),
        ("back through the bridge", back, alpha_s, sigma_s),
    ):
        z = ((x - alpha * x0) / sigma).double()
        yield near(f"Markov, {name}: noise mean", z.mean().item(), 0.0, 4 / math.sqrt(count), "4 standard errors")
        yield near(
            f"Markov, {name}: noise variance", z.var().item(), 1.0, 4 * math.sqrt(2 / count), "4 standard errors"
        )


def solver_agreement(denoiser: Denoiser, start: Tensor, **cond: Any) -> Iterator[Outcome]:
    """All deterministic solvers, at many steps, end at the same place."""
    process = denoiser.process
    assert isinstance(process, Gaussian)
    times = _grid(process, 120)
    ends = {
        name: sample(denoiser, start, times, make(), **cond)
        for name, make in SOLVERS.items()
        if not make().draws and make().evaluations <= 2 and make().order >= 2
    }
    middle = torch.stack(list(ends.values())).median(0).values
    for name, end in ends.items():
        gap = (end - middle).square().flatten(1).mean(1).sqrt().median().item()
        yield below(f"{name}: median distance to the solvers' median, 120 steps", gap, 0.01, "about one grey level")


@dataclass(frozen=True)
class Cost:
    """The error of a solver at a number of network calls: rms and median over paths, against an accurate solution."""

    solver: str
    evaluations: int
    rms: float
    median: float


def costs(
    denoiser: Denoiser, start: Tensor, solvers: tuple[str, ...], evaluations: tuple[int, ...], **cond: Any
) -> list[Cost]:
    """Error against network calls, so that a person can pick the steps."""
    process = denoiser.process
    assert isinstance(process, Gaussian)
    exact = sample(denoiser, start, _grid(process, 150), SOLVERS["dpmpp-2m"](), **cond)
    found = []
    for name in solvers:
        solver = SOLVERS[name]()
        for calls in evaluations:
            end = sample(denoiser, start, _grid(process, max(1, calls // solver.evaluations)), solver, **cond)
            error = (end - exact).square().flatten(1).mean(1).sqrt()
            found.append(Cost(name, calls, error.square().mean().sqrt().item(), error.median().item()))
    return found


def _grid(process: Gaussian, num_steps: int) -> Tensor:
    from ..processes.times import log_snr

    return log_snr(process.schedule, num_steps).double()
