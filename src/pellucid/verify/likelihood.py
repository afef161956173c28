"""Densities and their bounds, on laws whose log-density is known."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..foundations.rng import Stream
from ..likelihood import log_prob, vlb
from ..oracles import MixtureOracle
from ..processes.gaussian import Gaussian
from ..processes.schedules import SCHEDULES
from .outcome import Outcome, below, near

F64 = torch.float64


def law(schedule: str, size: int, components: int) -> MixtureOracle:
    """Centred Gaussians of uneven variances, of about unit variance together."""
    stream = Stream.of(11, range(components))
    means = stream.normal((size,), step=0)[0, 0].double() * (0.8 if size == 2 else 0.4)
    variances = 0.2 + 0.3 * stream.uniform((size,), step=1)[0, 0].double()
    return MixtureOracle(Gaussian(SCHEDULES[schedule]()), means - means.mean(0), variances)


def draws(oracle: MixtureOracle, count: int) -> Tensor:
    """Exact draws, (count, D), float64."""
    stream = Stream.of(12, range(count))
    noise = stream.normal(tuple(oracle.means.shape[1:]), step=0)[0, 0]
    return oracle.sample(noise.double(), stream.uniform((), step=1)[0, 0].double())


def densities() -> Iterator[Outcome]:
    """log p by the probability-flow ODE, with the exact trace."""
    for size, components in ((2, 1), (2, 4), (64, 1), (64, 4)):
        for schedule in ("vp", "edm") if size == 2 else ("vp",):
            oracle = law(schedule, size, components)
            x = draws(oracle, 16 if size == 2 else 4)
            found = log_prob(oracle, x, trace="exact", steps=160 if size == 2 else 320).value
            gap = (found - oracle.log_prob(x)).abs().max().item()
            kind = "Gaussian" if components == 1 else f"mixture of {components}"
            yield below(
                f"log p, {kind} in {size} dimensions, {schedule}: largest error, nats",
                gap,
                1e-3,
                "the blur of noise_min and the end of the chain change log p by 7e-4 at most",
            )


def bounds() -> Iterator[Outcome]:
    """The bound is one, and tight for the exact denoiser as steps grow."""
    oracle = law("vp", 2, 4)
    x = draws(oracle, 2000)
    exact = -oracle.log_prob(x)
    gaps, errors = {}, {}
    for steps in (100, 400, 1600):
        found = vlb(oracle, x, steps=steps, evaluations=128)
        gap = gaps[steps] = (found.value - exact).mean().item()
        error = errors[steps] = found.standard_error.square().sum().sqrt().item() / len(x)
        yield Outcome(
            f"bound of {steps} steps less -log p, nats",
            "at least 0",
            f"{gap:.4f} +- {error:.4f}",
            f"{4 * error:.2g}",
            "4 standard errors of its times and noise",
            gap > -4 * error,
        )
    # A step of h in log-SNR counts expm1(h)/h times its integral: h is 0.24 at 100 steps and 0.06 at 400.
    ratio = gaps[100] / gaps[400]
    tolerance = 4 * ratio * errors[400] / gaps[400] + 0.1
    yield near(
        "bound: gap at 100 steps over gap at 400", ratio, 4.24, tolerance, "4 standard errors, and the next term"
    )
    limit = gaps[400] / 4 + 4 * errors[1600]
    yield below(
        "bound of 1600 steps less -log p, nats", gaps[1600], limit, "a quarter of that at 400, 4 standard errors"
    )


def schedules_agree() -> Iterator[Outcome]:
    """In continuous time the bound depends on a schedule's ends alone, and equals -log p for the exact denoiser."""
    reference = law("vp", 2, 4)
    x = draws(reference, 1600)
    exact = -reference.log_prob(x).mean().item()
    for i, name in enumerate(("vp", "edm", "rectified", "cosine", "sub_vp")):
        found = vlb(law(name, 2, 4), x, continuous=True, evaluations=128, seed=i)
        error = found.standard_error.square().sum().sqrt().item() / len(x)
        tolerance = 4 * error + 1e-3
        yield near(
            f"bound in continuous time, {name}: mean, nats",
            found.value.mean().item(),
            exact,
            tolerance,
            "4 standard errors, and 1e-3 for the ends",
        )
