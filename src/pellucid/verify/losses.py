"""Losses on normal data, where the least loss, the bound and the reverse step's variance are known."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..denoisers import eps_from_x0, score_from_x0
from ..foundations.rng import Stream
from ..losses import DENSITIES, denoising_loss, step_divergence
from ..oracles import gaussian_oracle
from ..processes.gaussian import Gaussian
from ..processes.schedules import SCHEDULES, Betas
from ..processes.weightings import WEIGHTINGS
from .outcome import Outcome, below, near

F64 = torch.float64
_VARIANCE = 0.3
_EXACT = "round-off: the noise has exact moments"


def _pair(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two columns of noise of mean square exactly 1 and exactly uncorrelated, (count, 1) each: under an affine denoiser
    the mean of a squared error over them is its expectation, without Monte Carlo error."""
    one, two = Stream.of(seed, range(count)).normal((1,), step=0, num_steps=2)[:, 0].double()
    one = one / one.square().mean().sqrt()
    two = two - one * (one * two).mean()
    return one, two / two.square().mean().sqrt()


def minimum() -> Iterator[Outcome]:
    """The exact denoiser's loss is weight times posterior variance, which no denoiser goes below."""
    count = 200
    unit, noise = _pair(count, 14)
    for name, weighting in WEIGHTINGS.items():
        for schedule in ("vp", "rectified"):
            process = Gaussian(SCHEDULES[schedule](), weighting)
            oracle = gaussian_oracle(process, torch.zeros(1, dtype=F64), torch.tensor(_VARIANCE, dtype=F64))
            t = torch.full((count,), 0.4, dtype=F64)
            found = denoising_loss(oracle, math.sqrt(_VARIANCE) * unit, t, noise).mean().item()
            alpha, sigma = (f(t[:1]).item() for f in (process.schedule.alpha, process.schedule.sigma))
            left = _VARIANCE * sigma**2 / (alpha**2 * _VARIANCE + sigma**2)
            least = weighting.at(process.schedule, t[:1]).item() * left
            yield near(f"{name} on {schedule}: loss of the exact denoiser", found, least, 1e-9, _EXACT, relative=True)


def identities() -> Iterator[Outcome]:
    """Each weight makes the error of x_0 that of another output."""
    stream = Stream.of(15, range(64))
    x0, wrong, noise = stream.normal((4,), step=0, num_steps=3)[:, 0].double()
    process = Gaussian(SCHEDULES["vp"]())
    t = torch.linspace(0.02, 0.98, 64, dtype=F64)
    x = process.corrupt(x0, t, noise)
    alpha, sigma = process.scales(t, x)
    eps = eps_from_x0(process, x, wrong, t)
    gaps: dict[str, Tensor] = {
        "eps": eps - noise,
        "snr": (wrong - x0) * alpha / sigma,
        "sigma2": sigma * (score_from_x0(process, x, wrong, t) + noise / sigma),
        "v": alpha * (eps - noise) - sigma * (wrong - x0),
        "flow": eps - wrong - (noise - x0),
        "score": score_from_x0(process, x, wrong, t) + noise / sigma,
        "x0": wrong - x0,
    }
    for name, output in gaps.items():
        weighted = Gaussian(process.schedule, WEIGHTINGS[name]).loss(wrong, x0, t)
        gap = (weighted / output.square().mean(1) - 1).abs().max().item()
        yield below(f"{name}: weighted error of x_0 against the error of the output", gap, 1e-9, "round-off")
    g2 = process.schedule.diffusion(t).square()
    weighted = Gaussian(process.schedule, WEIGHTINGS["likelihood"]).loss(wrong, x0, t)
    gap = (weighted / (0.5 * g2 * gaps["score"].square().mean(1)) - 1).abs().max().item()
    yield below("likelihood: weighted error of x_0 against g^2/2 times that of the score", gap, 1e-9, "round-off")


def likelihood_weighting() -> Iterator[Outcome]:
    """The likelihood-weighted loss is the bound's diffusion term, 1/2 log of the ratio of 1 + v SNR at its ends,
    whatever the density of times."""
    count, noise_min = 200_000, 0.2
    u = (torch.arange(count, dtype=F64) + 0.5) / count
    for schedule in ("vp", "rectified", "edm"):
        made = SCHEDULES[schedule]()
        end = made.log_snr(torch.ones((), dtype=F64)).exp().item()
        exact = 0.5 * math.log((1 + _VARIANCE / noise_min**2) / (1 + _VARIANCE * end))
        for name, density in DENSITIES.items():
            law = density()
            t = law.times(made, u.clamp_max(1 - 2.0**-24))
            snr = made.log_snr(t).exp()
            each = WEIGHTINGS["likelihood"].at(made, t) * _VARIANCE / (1 + _VARIANCE * snr) / law.density(made, t)
            found = torch.where(snr <= noise_min**-2, each, 0.0).mean().item()
            yield near(
                f"likelihood weighting, {schedule}, {name} times: the bound's diffusion term, nats",
                found,
                exact,
                2e-3,
                "the midpoint rule on 200,000 points, at the cut",
                relative=True,
            )


def learned_variance() -> Iterator[Outcome]:
    """The divergence of a step is least where the variance is that of the exact reverse step."""
    betas = torch.tensor([0.05, 0.1, 0.2, 0.3], dtype=F64)
    process = Gaussian(Betas(tuple(betas.tolist())))
    oracle = gaussian_oracle(process, torch.zeros(1, dtype=F64), torch.tensor(_VARIANCE, dtype=F64))
    bar = (1 - betas).cumprod(0)
    count = 200
    unit, noise = _pair(count, 16)
    x0 = math.sqrt(_VARIANCE) * unit
    for i in (2, 3, 4):
        before, now, beta = bar[i - 2].item(), bar[i - 1].item(), betas[i - 1].item()
        around, ahead = before * _VARIANCE + 1 - before, now * _VARIANCE + 1 - now
        variance = around - (1 - beta) * around**2 / ahead
        lower, upper = (1 - before) / (1 - now) * beta, beta
        exact = math.log(variance / lower) / math.log(upper / lower)
        v = torch.full((count, 1), exact, dtype=F64, requires_grad=True)
        t, s = (torch.full((count,), k / 4, dtype=F64) for k in (i, i - 1))
        with torch.enable_grad():
            term = step_divergence(process, oracle(process.corrupt(x0, t, noise), t), x0, t, s, v)
            (slopes,) = torch.autograd.grad(term.sum(), v)
        # Over the slope's own size, log of the ratio of the bounds.
        observed = slopes.mean().item() / math.log(upper / lower)
        yield near(f"learned variance, step {i}: slope at the exact variance", observed, 0.0, 1e-9, _EXACT)
