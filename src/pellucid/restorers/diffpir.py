r"""DiffPIR: each estimate of x_0 is weighed against the observation as if its error were white.

    x_0' = argmin_z |y - A z|^2/noise^2 + lambda |z - x_0|^2/rho_t^2,   rho_t = sigma_t/alpha_t                    (1)

the proximal step with prior variance rho_t^2/lambda (Zhu et al., "Denoising Diffusion Models for Plug-and-Play Image
Restoration", 2023, equations 12 and 13). The state then goes on with a fixed share zeta of fresh noise,

    x_s = alpha_s x_0' + sigma_s (sqrt(1 - zeta) (x_t - alpha_t x_0')/sigma_t + sqrt(zeta) z)                      (2)

(their equation 14), or as any other solver would have it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.base import Process
from ..solvers.base import Solver
from ..solvers.gaussian import at_level, combine, gaussian_process, levels
from .base import Observation, Wrapper


@dataclass(frozen=True)
class DiffPIR(Wrapper):
    """Equation (1) at every call of the denoiser, under any solver or under the paper's own step. Without noise (1)
    is DDNM's projection.

    Attributes:
        weight: the lambda of (1). 1 stands for an error of variance rho_t^2, the most that the denoiser's can be. The
            authors take 1 to 25 by task; on the exact law of digits no task gains by more than 1.
        zeta: the share of fresh noise in (2), which then replaces the solver; None for the solver that is given.

    Raises:
        UserError: a weight that is not positive, a zeta outside [0, 1].
    """

    weight: float = 1.0
    zeta: float | None = None
    posterior: ClassVar[bool] = False
    nonlinear: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise UserError(f"weight must be positive, got {self.weight}")
        if self.zeta is not None and not 0 <= self.zeta <= 1:
            raise UserError(f"zeta is a share of noise between 0 and 1, got {self.zeta}")

    def wrap(self, denoiser: Denoiser, observation: Observation) -> Denoiser:
        return _Proximal(denoiser, observation, self.weight)

    def mover(self, solver: Solver, observation: Observation, times: Tensor) -> Solver:
        return solver if self.zeta is None else _Refreshed(self.zeta)


@dataclass(frozen=True, eq=False)
class _Proximal:
    """Equation (1)."""

    denoiser: Denoiser
    observation: Observation
    weight: float

    @property
    def process(self) -> Process:
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        schedule, seen = gaussian_process(self.denoiser).schedule, self.observation
        variance = (schedule.sigma(t) / schedule.alpha(t)).square() / self.weight
        return seen.operator.proximal(
            self.denoiser(x, t, **cond), seen.y, noise_variance=seen.noise**2, prior_variance=variance
        )


@dataclass(frozen=True)
class _Refreshed:
    """Equation (2)."""

    zeta: float
    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        _, now, then = levels(denoiser, t, s, at_level(carry))
        keep = math.sqrt(1 - self.zeta) * then.sigma / now.sigma
        fresh = math.sqrt(self.zeta) * then.sigma
        x0 = denoiser(x, t)
        return combine((then.alpha - now.alpha * keep, x0), (keep, x), (fresh, noise[0])), then
