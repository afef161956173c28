r"""Loss weights w(t) on the squared error of x_0, as functions of alpha and sigma.

Every target a network may predict is affine in x_0 given x_t, so "the loss on eps" or "on v" is a weight on the
error of x_0. With s2 = (sigma/alpha)^2 the inverse signal-to-noise ratio:

    x0: 1      eps: 1/s2      v: 1 + 1/s2 (variance-preserving schedules)      flow: (1 + 1/sqrt(s2))^2

(Salimans and Ho, "Progressive Distillation for Fast Sampling", 2022, section 4 and appendix D.) A weight lambda on the
squared error of the score is lambda alpha^2/sigma^4 here: sigma^2 gives the SNR, the loss on eps under a third name,
and g^2 gives SNR |d log SNR/dt|, twice the integrand of the variational bound ("likelihood").
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.registry import Registry
from .schedules import Betas, Schedule


class Weighting(ABC):
    """w(alpha, sigma), elementwise."""

    @abstractmethod
    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The weight on the squared error of x_0."""

    def at(self, schedule: Schedule, t: Tensor) -> Tensor:
        """The weight at times t of a schedule, of t's shape."""
        return self(schedule.alpha(t), schedule.sigma(t))


def _snr(alpha: Tensor, sigma: Tensor) -> Tensor:
    # Finite at t = 0, where the error it multiplies is zero.
    return (alpha / sigma.clamp_min(1e-10)).square()


@dataclass(frozen=True)
class X0(Weighting):
    """The plain squared error of x_0."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma)


@dataclass(frozen=True)
class Eps(Weighting):
    """The squared error of the noise: Ho et al.'s simple loss (2020, eq. 14)."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return _snr(alpha, sigma)


@dataclass(frozen=True)
class V(Weighting):
    """The squared error of v = alpha eps - sigma x_0, for variance-preserving schedules 1 + SNR."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return ((alpha.square() + sigma.square()) / sigma.clamp_min(1e-10)).square()


@dataclass(frozen=True)
class Flow(Weighting):
    """The squared error of the straight path's velocity eps - x_0."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return ((alpha + sigma) / sigma.clamp_min(1e-10)).square()


@dataclass(frozen=True)
class Score(Weighting):
    """The squared error of the score itself, lambda = 1."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return (alpha / sigma.square().clamp_min(1e-18)).square()


@dataclass(frozen=True)
class Likelihood(Weighting):
    """The diffusion term of the variational bound, in nats: over time, 1/2 SNR |d log SNR/dt| = 1/2 g^2 alpha^2/sigma^4
    (Song et al., "Maximum Likelihood Training of Score-Based Diffusion Models", 2021; Kingma et al., "Variational
    Diffusion Models", 2021, eq. 17); on a chain of T steps, T L_{t-1} = T/2 (SNR_s - SNR_t), and on its first step
    T/2 SNR_t, a normal decoder of width sigma/alpha. Called with alpha and sigma alone, it is for each unit of log-SNR.
    """

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return 0.5 * _snr(alpha, sigma)

    def at(self, schedule: Schedule, t: Tensor) -> Tensor:
        each = super().at(schedule, t)
        if not isinstance(schedule, Betas):
            return each * log_snr_rate(schedule, t)
        s = step_before(schedule, t)
        gap = schedule.log_snr(s) - schedule.log_snr(t.double())
        return each * schedule.num_steps * torch.where(s > 0, torch.expm1(gap), 1.0).to(t)


def step_before(chain: Betas, t: Tensor) -> Tensor:
    """The time of a chain's step before t, in float64; exactly 0 before the first, though t be rounded to float32."""
    place = t.double() * chain.num_steps
    return (torch.where((place - place.round()).abs() < 1e-3, place.round(), place) - 1).clamp_min(0) / chain.num_steps


def log_snr_rate(schedule: Schedule, t: Tensor) -> Tensor:
    """|d log SNR/dt| = g^2/sigma^2, of t's shape."""
    return (schedule.diffusion(t) / schedule.sigma(t).clamp_min(1e-8)).square()


@dataclass(frozen=True)
class MinSNR(Weighting):
    """min(SNR, gamma) (Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", 2023)."""

    gamma: float = 5.0

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return _snr(alpha, sigma).clamp_max(self.gamma)


@dataclass(frozen=True)
class EDM(Weighting):
    """Unit weight on the network's own output under EDM preconditioning: SNR + 1/sigma_data^2 (Karras et al. 2022,
    table 1; the same number whatever alpha is)."""

    sigma_data: float = 0.5

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return _snr(alpha, sigma) + self.sigma_data**-2


WEIGHTINGS: Registry[Weighting] = Registry(
    "weighting",
    {
        "x0": X0(),
        "eps": Eps(),
        "snr": Eps(),
        "sigma2": Eps(),
        "v": V(),
        "flow": Flow(),
        "score": Score(),
        "min_snr": MinSNR(),
        "edm": EDM(),
        "likelihood": Likelihood(),
    },
)
