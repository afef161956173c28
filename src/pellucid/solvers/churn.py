r"""Churn: each step first goes back to more noise, then takes Heun's step (Karras et al., "Elucidating the Design Space
of Diffusion-Based Generative Models", 2022, algorithm 2).

The noise that is added corrects the errors of earlier steps. Going back is q(x_u given x_t), u > t, of any process, so
it leaves the right law at a right law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from .gaussian import Level, at_level, combine, level_of, levels
from .ode import heun

_MOST = math.log(math.sqrt(2))  # Karras et al.'s cap: no more new noise than is there already


@dataclass(frozen=True)
class EDMChurn:
    """From t to the higher noise rho (1 + gamma), then by Heun's method to s; rho = sigma/alpha.

    Karras et al. take 1 + gamma = 1 + S_churn/N on a grid of N steps. A step does not know N, so here log(1 + gamma) =
    churn h with the step's own length h in log rho: on a grid of N steps from rho_max to rho_min, S_churn is about
    churn log(rho_max/rho_min), and more steps do not add more noise in all. There is no churn on the last step, to
    t = 0.

    Attributes:
        churn: log-noise added for each unit of log-noise removed; 0 is `Heun`.
        noise_min, noise_max: S_tmin and S_tmax, the range of rho where noise is added.
        noise_scale: S_noise, the standard deviation of the added noise: a little over 1 makes up for what a trained
            denoiser takes away too much.
    """

    churn: float = 1.0
    noise_min: float = 0.05
    noise_max: float = 50.0
    noise_scale: float = 1.0
    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 2
    order: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not (self.churn >= 0 and self.noise_scale >= 0 and 0 <= self.noise_min <= self.noise_max):
            raise UserError(
                "churn and noise_scale must be 0 or more and noise_min at most noise_max, "
                f"got {self.churn}, {self.noise_scale}, {self.noise_min} and {self.noise_max}"
            )

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        schedule, now, then = levels(denoiser, t, s, at_level(carry))
        if self.churn and then.sigma > 0 and self.noise_min <= now.rho <= self.noise_max:
            up = level_of(schedule, now.rho * math.exp(min(self.churn * (then.lam - now.lam), _MOST)))
            x, now = self._raise(x, now, up, noise[0])
        return heun(denoiser, x, now, then), then

    def _raise(self, x: Tensor, now: Level, up: Level, noise: Tensor) -> tuple[Tensor, Level]:
        """The chain's own transition to a higher level, with noise of standard deviation noise_scale."""
        ratio = up.alpha / now.alpha
        fresh = math.sqrt(max(up.sigma**2 - (ratio * now.sigma) ** 2, 0.0))
        return combine((ratio, x), (self.noise_scale * fresh, noise)), up
