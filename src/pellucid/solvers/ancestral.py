"""Stochastic moves through the bridge q(x_s given x_t, x_0): ancestral sampling and DDIM."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser, LearnedVariance
from ..foundations.errors import UserError
from ..processes.gaussian import Gaussian
from .exponential import Move
from .gaussian import Level, at_level, combine, euler, levels


def bridge(now: Level, then: Level, eta: float) -> Move:
    """`Gaussian.interpolate` as coefficients: x_s = keep x_t + gain x_0 + spread z, between the deterministic move
    (eta = 0) and q(x_s given x_t, x_0) (eta = 1)."""
    rho = now.alpha * then.sigma / (then.alpha * now.sigma)
    # 1 - tau written without the cancellation that would lose a small rho.
    keep = then.sigma / now.sigma * math.sqrt(1 - eta**2 + (eta * rho) ** 2)
    return Move(keep, then.alpha - now.alpha * keep, then.sigma * eta * math.sqrt(max(1 - rho**2, 0.0)))


@dataclass(frozen=True)
class Ancestral:
    """The bridge with the denoised estimate for x_0, on any process: DDPM's sampler for numbers with the lower
    variance ("fixed small"; Ho et al., 2020, algorithm 2), and D3PM's for tokens."""

    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        if isinstance(denoiser.process, Gaussian):
            return DDIM(eta=1.0)(denoiser, x, t, s, noise, carry)
        return denoiser.process.bridge(x, denoiser(x, t), t, s, noise[0]), carry


@dataclass(frozen=True)
class DDPM:
    """Ancestral sampling of a Gaussian process with a choice of variance.

    Attributes:
        variance: where the reverse step's log-variance lies between its lower bound (0: "fixed small") and its upper
            (1: "fixed large"); None takes the denoiser's learned value (Nichol and Dhariwal, 2021, eq. 15).

    No noise is added on a step that ends at t = 0.
    """

    variance: float | None = 0.0
    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.variance is not None and not 0 <= self.variance <= 1:
            raise UserError(f"variance lies between 0 (fixed small) and 1 (fixed large), got {self.variance}")

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        _, now, then = levels(denoiser, t, s, at_level(carry))
        where: Tensor | float
        if self.variance is not None:
            x0, where = denoiser(x, t), self.variance
        elif isinstance(denoiser, LearnedVariance):
            x0, where = denoiser.moments(x, t)
        else:
            raise UserError("this denoiser learned no variance: give DDPM a fixed one between 0 (small) and 1 (large)")
        # The bridge has the lower variance. The upper is that of q(x_t given x_s), (sigma_t/sigma_s)^2 times as large.
        keep, gain, spread = bridge(now, then, 1.0)
        mean = combine((gain, x0), (keep, x))
        if then.sigma == 0:
            return mean, then
        width = math.log(now.sigma / then.sigma)
        if isinstance(where, Tensor):
            return mean.addcmul((where * width).exp(), noise[0], value=spread), then
        return combine((1.0, mean), (spread * math.exp(where * width), noise[0])), then


@dataclass(frozen=True)
class DDIM:
    """DDIM: from the deterministic move (eta = 0) to the bridge (eta = 1) (Song et al., "Denoising Diffusion Implicit
    Models", 2020, equations 12 and 16). With eta = 0 it solves the probability-flow ODE exactly where the noise
    direction is constant: Euler's method in sigma/alpha, and DPM-Solver++ of first order."""

    eta: float = 0.0
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta lies between 0 (deterministic) and 1 (ancestral), got {self.eta}")

    @property
    def draws(self) -> int:
        """None where the move is deterministic."""
        return 1 if self.eta else 0

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        _, now, then = levels(denoiser, t, s, at_level(carry))
        x0 = denoiser(x, t)
        if self.eta == 0:
            return euler(x, x0, now, then), then
        keep, gain, spread = bridge(now, then, self.eta)
        return combine((gain, x0), (keep, x), (spread, noise[0])), then
