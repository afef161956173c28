r"""The variational bound: -log p(x_0) <= L_T + sum of L_{t-1} + L_0 (Ho et al., "Denoising Diffusion Probabilistic
Models", 2020, eq. 5), on any time grid 0 = t_0 < t_1 < ... < t_T = 1.

    L_T       KL(q(x_1 given x_0) to the prior), in closed form                                                    (1)
    L_{t-1}   KL(q(x_s given x_t, x_0) to N(mean(x_t, x0hat), V)); with r = lower/V of the two variances
              1/2 [(SNR_s - SNR_t) r |x_0 - x0hat|^2 + D (r - 1 - log r)]                                          (2)
    L_0       -log p(x_0 given x_t1), see `decoders`                                                               (3)

and in the limit of ever more steps, where only the ends of the schedule's SNR matter (Kingma et al., "Variational
Diffusion Models", 2021, eq. 18),

    sum of L_{t-1}  ->  1/2 int E |x_0 - x0hat|^2 SNR d log SNR.                                                   (4)

The sum and the integral are estimated with times that are stratified uniformly in log-SNR. With
f = |x_0 - x0hat|^2 / rho^2 and the noise z, f - b (|z|^2 - D) has the same mean for any b that does not know z; b is
f/|z|^2 of the neighbouring stratum, the share of the noise that the denoiser leaves, which is about the best constant.
Neighbours also give the error bar: the squared difference of two estimates bounds the sum of their variances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..denoisers import Denoiser, LearnedVariance
from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from ..foundations.tensors import pad
from ..processes.gaussian import Gaussian
from ..processes.schedules import Betas
from .checks import check_count, check_data, gaussian_process, noise_range
from .decoders import DECODERS, Decoder

_DECODER_DRAWS = 4
_VARIANCES = ("lower", "upper", "learned")


@dataclass(frozen=True)
class Bound:
    """The terms of the bound, in nats, (B,) each, float64.

    Attributes:
        prior: L_T.
        diffusion: the sum of L_{t-1}, or the integral (4).
        decoder: L_0.
        standard_error: of the Monte Carlo estimate of diffusion and decoder together.
        evaluations: calls of the denoiser, for each item.
        discrete: whether the bound is on a probability (a discrete decoder), not on a density.
    """

    prior: Tensor
    diffusion: Tensor
    decoder: Tensor
    standard_error: Tensor
    evaluations: int
    discrete: bool

    @property
    def value(self) -> Tensor:
        """The upper bound on -log p(x_0)."""
        return self.prior + self.diffusion + self.decoder


def vlb(
    denoiser: Denoiser,
    x0: Tensor,
    *,
    steps: int | None = None,
    times: Tensor | None = None,
    continuous: bool = False,
    evaluations: int = 64,
    decoder: str | Decoder = "normal",
    variance: str = "lower",
    noise_min: float | None = None,
    seed: int = 0,
    ids: Tensor | None = None,
    force: bool = False,
    **cond: Any,
) -> Bound:
    """The variational bound on -log p(x_0) in nats.

    Args:
        denoiser: of a Gaussian process.
        x0: data, (B, *), in the denoiser's scale.
        steps: T of a grid that is even in log-SNR from t = 1 to noise_min, with a last step to the data.
        times: the grid itself, from 0 to 1, rising or falling, in place of `steps`. Neither: the chain of a discrete
            schedule, else T = 1000.
        continuous: the integral (4) from t = 1 to noise_min in place of a sum.
        evaluations: times drawn for each item, even.
        decoder: L_0, a name among `DECODERS` or a decoder.
        variance: V of equation (2): "lower", "upper" (see `Gaussian.posterior`) or "learned".
        noise_min: sigma/alpha where the decoder takes over; chosen for the decoder if absent.
        seed: of the times and the noise.
        ids: the items' identities, (B,); 0 .. B - 1 if absent.
        force: go on where the data look unscaled or the process does not end in its prior.
        cond: conditions, passed to the denoiser.

    Raises:
        UserError: a process without a density, or data, options or numbers that cannot be used.
    """
    process = gaussian_process(denoiser)
    ids = check_data(process, x0, ids, force=force)
    check_count("evaluations", evaluations, 2)
    evaluations += evaluations % 2
    if variance not in _VARIANCES:
        raise UserError(f"the variance is one of {', '.join(_VARIANCES)}, got {variance!r}")
    last = DECODERS[decoder]() if isinstance(decoder, str) else decoder
    terms = _terms(process, steps, times, continuous, last.noise_min() if noise_min is None else noise_min)
    if continuous and variance != "lower":
        raise UserError("in continuous time the variances agree: leave variance out, or continuous")
    shaped = _Shaped(denoiser, process, x0.detach(), cond, variance)
    with torch.no_grad():
        prior = process.prior_kl(x0.double())
        diffusion, spread = _diffusion(shaped, terms, Stream(subseed(seed, "bound"), ids), evaluations)
        decoded, decoder_spread = _decoded(shaped, terms.first, last, Stream(subseed(seed, "decoder"), ids))
    error = (spread + decoder_spread).sqrt()
    return Bound(prior, diffusion, decoded, error, evaluations + _DECODER_DRAWS, last.discrete)


class _Terms(Protocol):
    """What is summed over time, as an expectation over a uniform number."""

    @property
    def first(self) -> Tensor:
        """t_1, where the decoder takes over."""
        ...

    def __call__(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """For uniform numbers (B,): the time t; the weight of f / r; that of D (r - 1 - log r) / 2; and
        log(lower/upper)."""
        ...


@dataclass(frozen=True)
class _Integral:
    process: Gaussian
    first: Tensor
    low: float
    high: float

    def __call__(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        span = math.log(self.high / self.low)
        t = self.process.schedule.time(-2 * (math.log(self.low) + span * u))
        weight = torch.full_like(u, span)  # 1/2 times the span of log-SNR, 2 log(high/low)
        return t, weight, torch.zeros_like(u), torch.zeros_like(u)


@dataclass(frozen=True)
class _Sum:
    process: Gaussian
    grid: Tensor  # t_1 ... t_T, float64

    @property
    def first(self) -> Tensor:
        return self.grid[0]

    def __call__(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        schedule = self.process.schedule
        grid = self.grid.to(u.device)
        log_snr = schedule.log_snr(grid)
        gap = log_snr[:-1] - log_snr[1:]
        share = gap / gap.sum()
        i = torch.searchsorted(share.cumsum(0), u, right=True).clamp_max(len(share) - 1)
        weight = 0.5 * torch.expm1(gap) / share
        sigma = schedule.sigma(grid)
        return grid[1:][i], weight[i], 1 / share[i], 2 * (sigma[:-1] / sigma[1:]).log()[i]


def _terms(process: Gaussian, steps: int | None, times: Tensor | None, continuous: bool, noise_min: float) -> _Terms:
    schedule = process.schedule
    if continuous:
        if steps is not None or times is not None:
            raise UserError("continuous time has no steps: leave steps and times out, or continuous")
        low, high = noise_range(process, noise_min)
        first = schedule.time(torch.tensor(-2 * math.log(low), dtype=torch.float64))
        return _Integral(process, first, low, high)
    if times is not None and steps is not None:
        raise UserError("give steps or times, not both")
    if times is not None:
        grid = times.double().cpu().sort().values
        if len(grid) < 3 or grid[0] != 0 or grid[-1] != 1 or bool((grid.diff() <= 0).any()):
            raise UserError(f"the bound's times run from 0 to 1, three or more and all different; got {times.tolist()}")
        return _Sum(process, grid[1:])
    if steps is None and isinstance(schedule, Betas):
        count = schedule.num_steps
        return _Sum(process, torch.arange(1, count + 1, dtype=torch.float64) / count)
    count = check_count("steps", 1000 if steps is None else steps, 2)
    low, high = noise_range(process, noise_min)
    levels = torch.linspace(math.log(low), math.log(high), count, dtype=torch.float64)
    grid = schedule.time(-2 * levels)
    grid[-1] = 1
    return _Sum(process, grid)


@dataclass(frozen=True)
class _Shaped:
    """A denoiser, its data and conditions: the errors it makes at noise of our choice."""

    denoiser: Denoiser
    process: Gaussian
    x0: Tensor
    cond: dict[str, Any]
    variance: str

    @property
    def size(self) -> int:
        return self.x0[0].numel()

    def at(self, t: Tensor, z: Tensor, log_ratio: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(f r and sum of (r - 1 - log r)/2, both (B,), the estimate, and y = x_t/alpha) at times t, (B,)."""
        alpha, sigma = self.process.scales(t, self.x0)
        # The scales in float64, the state in the data's type: at small noise x_t would else lose its last digits twice.
        x = (alpha * self.x0 + sigma * z).to(self.x0.dtype)
        if self.variance == "learned":
            if not isinstance(self.denoiser, LearnedVariance):
                raise UserError("this denoiser learned no variance: use variance='lower' or 'upper'")
            x0, v = self.denoiser.moments(x, t.to(x.dtype), **self.cond)
            log_r = v.double() * pad(log_ratio, x)
        else:
            x0 = self.denoiser(x, t.to(x.dtype), **self.cond)
            log_r = pad(log_ratio if self.variance == "upper" else torch.zeros_like(log_ratio), x).expand(x.shape)
        error = ((x0 - self.x0).double() * (alpha / sigma)).square()
        kept = (error * log_r.exp()).flatten(1).sum(1)
        return kept, 0.5 * (torch.expm1(log_r) - log_r).flatten(1).sum(1), x0, x / alpha


def _diffusion(shaped: _Shaped, terms: _Terms, stream: Stream, count: int) -> tuple[Tensor, Tensor]:
    """The mean of all strata's estimates, and its variance."""
    total = torch.zeros(len(shaped.x0), dtype=torch.float64, device=shaped.x0.device)
    variance = torch.zeros_like(total)
    for k in range(0, count, 2):
        raw = []
        for j in (k, k + 1):
            u = (j + stream.uniform((), step=j)[0, 0].double()) / count
            z = stream.normal(shaped.x0.shape[1:], step=j, draw=1)[0, 0]
            t, weight, width_weight, log_ratio = terms(u)
            f, width, _, _ = shaped.at(t, z, log_ratio)
            raw.append((weight, f, z.double().flatten(1).square().sum(1), width_weight * width))
        pair = [
            weight * (f - _share(partner[1], partner[2]) * (square - shaped.size)) + width
            for (weight, f, square, width), partner in zip(raw, reversed(raw), strict=True)
        ]
        total += (pair[0] + pair[1]) / count
        variance += (pair[0] - pair[1]).square() / count**2
    return total, variance


def _decoded(shaped: _Shaped, t: Tensor, decoder: Decoder, stream: Stream) -> tuple[Tensor, Tensor]:
    """The mean of L_0 over some draws, and its variance."""
    schedule = shaped.process.schedule
    noise = (schedule.sigma(t) / schedule.alpha(t)).item()
    slope = decoder.slope(noise)
    same = t.to(shaped.x0.device).expand(len(shaped.x0))
    raw = []
    for j in range(_DECODER_DRAWS):
        z = stream.normal(shaped.x0.shape[1:], step=j)[0, 0]
        f, _, mean, y = shaped.at(same, z, torch.zeros_like(same))
        raw.append((decoder.nll(shaped.x0, mean, y, noise), f, z.double().flatten(1).square().sum(1)))
    values = []
    for j, (nll, _, square) in enumerate(raw):
        _, f, other = raw[j ^ 1]
        values.append(nll - slope * _share(f, other) * (square - shaped.size))
    drawn = torch.stack(values)
    return drawn.mean(0), drawn.var(0) / len(drawn)


def _share(f: Tensor, square: Tensor) -> Tensor:
    """The share of the noise that a denoiser leaves; at most 1, because |z|^2 may be near 0 where items are small."""
    return (f / square).clamp_max(1.0)
