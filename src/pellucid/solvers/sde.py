r"""One-step solvers of the reverse SDE.

Backwards in time the process obeys (Anderson, "Reverse-Time Diffusion Equation Models", 1982)

    dx = [f x - g^2 grad log p_t(x)] dt + g dw,   grad log p_t(x) = (alpha x_0 - x)/sigma^2                        (1)

with the schedule's drift f and diffusion g.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from .exponential import exact_shares, move
from .gaussian import at_level, combine, levels


@dataclass(frozen=True)
class EulerMaruyama:
    """Euler and Maruyama's method on (1) in the schedule's own time.

    x_s = x_t - (t - s) [f x_t - g^2 score] + g sqrt(t - s) z, with f, g and the score at t. It has no exact part, so it
    needs steps with (t - s) g^2/sigma^2 < 2 to be stable: a grid that ends in a jump to t = 0 costs accuracy.
    """

    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        schedule, now, then = levels(denoiser, t, s, at_level(carry))
        drift, diffusion, length = schedule.drift(t).item(), schedule.diffusion(t).item(), (t - s).item()
        pull = length * diffusion**2 / now.sigma**2
        return combine(
            (1 - length * drift - pull, x),
            (pull * now.alpha, denoiser(x, t)),
            (diffusion * math.sqrt(length), noise[0]),
        ), then


@dataclass(frozen=True)
class SDE2:
    """A stochastic Runge-Kutta method of weak order 2: Heun's for additive noise, in exponential form.

    Equation (2) of `exponential` turns (1) into an SDE whose linear part and noise are exact, and whose noise does not
    depend on the state; there a deterministic method of order 2 that meets the same noise in both stages has weak order
    2 (Kloeden and Platen, "Numerical Solution of Stochastic Differential Equations", 1992, section 15.1). The first
    stage steps with constant x_0; the second repeats the step with x_0 linear between its values at both ends. The last
    step, to t = 0, has the first stage alone.

    Attributes:
        eta: rate of fresh noise: 1 for (1), 0 for the ODE.
    """

    eta: float = 1.0
    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 2
    order: ClassVar[int] = 2

    def __post_init__(self) -> None:
        checked_eta(self.eta)

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        _, now, then = levels(denoiser, t, s, at_level(carry))
        step = move(now, then, self.eta)
        x0 = denoiser(x, t)
        x = combine((step.keep, x), (step.gain, x0), (step.spread, noise[0]))
        if then.sigma == 0:
            return x, then
        _, far = exact_shares((now.lam, then.lam), now, then, self.eta)
        return combine((1.0, x), (step.gain * far, denoiser(x, s)), (-step.gain * far, x0)), then


def checked_eta(eta: float) -> None:
    """Raises a UserError where a rate of noise is negative or not a number."""
    if not (eta >= 0 and math.isfinite(eta)):
        raise UserError(f"the rate of fresh noise is 0 (the ODE), 1 (the reverse SDE) or more, got {eta}")
