"""Stochastic moves through the bridge q(x_s given x_t, x_0): ancestral sampling and DDIM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser, LearnedVariance
from ..foundations.errors import UserError
from .gaussian import gaussian_process


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
        process = gaussian_process(denoiser)
        where: Tensor | float
        if self.variance is not None:
            x0, where = denoiser(x, t), self.variance
        elif isinstance(denoiser, LearnedVariance):
            x0, where = denoiser.moments(x, t)
        else:
            raise UserError("this denoiser learned no variance: give DDPM a fixed one between 0 (small) and 1 (large)")
        mean, lower, upper = process.posterior(x, x0, t, s)
        # At s = 0 the lower bound is 0 and its logarithm has no value: the step is the mean, as in Ho et al.
        tiny = lower.new_tensor(1e-30)
        log_variance = where * upper.clamp_min(tiny).log() + (1 - where) * lower.clamp_min(tiny).log()
        spread = (0.5 * log_variance).exp() * (s > 0)
        return mean + spread * noise[0], carry


@dataclass(frozen=True)
class DDIM:
    """DDIM: from the deterministic move (eta = 0) to the bridge (eta = 1) (Song et al., "Denoising Diffusion Implicit
    Models", 2020, equations 12 and 16). With eta = 0 it solves the probability-flow ODE exactly where the noise
    direction is constant: Euler's method in sigma/alpha."""

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
        fresh = noise[0] if self.eta else None
        return gaussian_process(denoiser).interpolate(x, denoiser(x, t), t, s, fresh, self.eta), carry
