r"""The Gaussian process x_t = alpha_t x_0 + sigma_t z, z ~ N(0, I).

With rho = alpha_t sigma_s / (alpha_s sigma_t), s < t, all transitions are Gaussian:

    q(x_t | x_0) = N(alpha_t x_0, sigma_t^2 I)                                                                     (1)
    q(x_t | x_s) = N(alpha_t/alpha_s x_s, (sigma_t^2 - (alpha_t/alpha_s)^2 sigma_s^2) I)                           (2)
    q(x_s | x_t, x_0) = N(alpha_s x_0 + sigma_s rho (x_t - alpha_t x_0)/sigma_t, sigma_s^2 (1 - rho^2) I)          (3)

On the grid of a discrete chain (3) is the posterior of Ho et al. ("Denoising Diffusion Probabilistic Models", 2020,
equations 6 and 7): mean sqrt(abar_s) beta/(1 - abar_t) x_0 + sqrt(1 - beta)(1 - abar_s)/(1 - abar_t) x_t and variance
beta (1 - abar_s)/(1 - abar_t).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.rng import Stream
from ..foundations.tensors import pad
from .base import Process
from .schedules import Schedule
from .weightings import WEIGHTINGS, Weighting


@dataclass(frozen=True)
class Gaussian(Process):
    """A Gaussian process on any schedule.

    Attributes:
        schedule: alpha(t) and sigma(t).
        weighting: the loss's weight on the squared error of x_0.
    """

    schedule: Schedule
    weighting: Weighting = WEIGHTINGS["edm"]

    def scales(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and sigma_t, shaped to broadcast against x, shape (B, *)."""
        return pad(self.schedule.alpha(t), x), pad(self.schedule.sigma(t), x)

    def prior_std(self) -> float:
        """The prior's standard deviation: the exact one of x_1 for data of unit second moment.

        It is 1 for variance-preserving schedules and sigma_max (1 + 1e-4 or less) for exploding ones.
        """
        one = torch.ones((), dtype=torch.float64)
        return math.hypot(self.schedule.alpha(one).item(), self.schedule.sigma(one).item())

    def draw(
        self, stream: Stream, shape: Sequence[int], *, step: int, num_steps: int = 1, num_draws: int = 1
    ) -> Tensor:
        return stream.normal(shape, step=step, num_steps=num_steps, num_draws=num_draws)

    def prior(self, noise: Tensor) -> Tensor:
        return self.prior_std() * noise

    def corrupt(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Equation (1)."""
        alpha, sigma = self.scales(t, x0)
        return alpha * x0 + sigma * noise

    def bridge(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor, noise: Tensor) -> Tensor:
        """Equation (3)."""
        return self.interpolate(x, x0, t, s, noise, 1.0)

    def interpolate(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor, noise: Tensor | None, eta: float) -> Tensor:
        """The family between the deterministic move (eta = 0; `noise` may be None) and the bridge (eta = 1).

        x_s = alpha_s x_0 + sigma_s (sqrt(1 - tau) z + sqrt(tau) noise), z = (x_t - alpha_t x_0)/sigma_t and
        tau = eta^2 (1 - rho^2) (Song et al., "Denoising Diffusion Implicit Models", 2020, equations 12 and 16).
        """
        (alpha_t, sigma_t), (alpha_s, sigma_s) = self.scales(t, x), self.scales(s, x)
        z = (x - alpha_t * x0) / sigma_t
        if eta == 0:
            return alpha_s * x0 + sigma_s * z
        assert noise is not None
        rho = alpha_t * sigma_s / (alpha_s * sigma_t)
        # 1 - tau written without the cancellation that would lose a small rho.
        kept = (1 - eta**2 + eta**2 * rho.square()).sqrt()
        fresh = eta * (1 - rho.square()).clamp_min(0).sqrt()
        return alpha_s * x0 + sigma_s * (kept * z + fresh * noise)

    def posterior(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The mean of (3) and the two bounds on a reverse step's variance, all broadcasting against x.

        Returns:
            The mean; the lower variance, that of (3), right for data at a point ("fixed small"); the upper variance,
            that of (2), right for unit-variance white data ("fixed large") (Ho et al. 2020, section 3.2).
        """
        (alpha_t, sigma_t), (alpha_s, sigma_s) = self.scales(t, x), self.scales(s, x)
        rho = alpha_t * sigma_s / (alpha_s * sigma_t)
        mean = alpha_s * x0 + sigma_s * rho * (x - alpha_t * x0) / sigma_t
        gap = (1 - rho.square()).clamp_min(0)
        return mean, sigma_s.square() * gap, sigma_t.square() * gap

    def renoise(self, x: Tensor, s: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Equation (2)."""
        (alpha_s, sigma_s), (alpha_t, sigma_t) = self.scales(s, x), self.scales(t, x)
        ratio = alpha_t / alpha_s
        return ratio * x + (sigma_t.square() - (ratio * sigma_s).square()).clamp_min(0).sqrt() * noise

    def loss(self, prediction: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """Squared error of x_0, weighted and averaged over the item, shape (B,)."""
        return self.weighting.at(self.schedule, t) * (prediction - x0).square().flatten(1).mean(1)

    def prior_kl(self, x0: Tensor) -> Tensor:
        # The constants in float64: in float32 they would cancel to nothing where the divergence is small.
        one = torch.ones((), dtype=torch.float64)
        alpha, sigma = self.schedule.alpha(one).item(), self.schedule.sigma(one).item()
        variance = alpha**2 + sigma**2
        signal = alpha**2 / variance
        energy = x0.flatten(1).square()
        return 0.5 * (signal * energy - (signal + math.log1p(-signal))).sum(1)

    def prior_bits_per_dim(self, second_moment: float = 1.0) -> float:
        """`prior_kl` in bits per dimension for data of the given second moment."""
        x0 = torch.full((1, 1), math.sqrt(second_moment), dtype=torch.float64)
        return self.prior_kl(x0).item() / math.log(2)
