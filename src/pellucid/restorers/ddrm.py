r"""DDRM: a step of its own for each singular direction of A.

In the coordinates of `frames`, with rho = sigma/alpha, c the denoiser's estimate, seen = U' y / s, and
nu_i = noise/s_i, the state x_s/alpha_s is drawn from the normal law of (Kawar et al., "Denoising Diffusion Restoration
Models", 2022, equations 7 and 8)

    not seen           mean  c + sqrt(1 - eta^2) rho_s (x_t/alpha_t - c)/rho_t,   variance eta^2 rho_s^2           (1)
    rho_s < nu_i       mean  c + sqrt(1 - eta^2) rho_s (seen - c)/nu_i,           variance eta^2 rho_s^2           (2)
    rho_s >= nu_i      mean  (1 - eta_b) c + eta_b seen,               variance rho_s^2 - eta_b^2 nu_i^2           (3)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..solvers.base import Solver
from ..solvers.gaussian import combine, gaussian_process, level_at
from .base import Observation, Wrapper
from .frames import Frame, frame


@dataclass(frozen=True)
class DDRM(Wrapper):
    """Equations (1) to (3). The step is the method, so the solver that is given is not used.

    (2) renews the noise of every step and keeps a fixed share of y, so it is made for few steps, about 20: the finer
    the grid, the more the result follows y and its noise.

    Attributes:
        eta: 0 for as little fresh noise as possible in (1) and (2), 1 for nothing but fresh noise.
        eta_b: the trust in y in (3).

    Raises:
        UserError: eta or eta_b outside [0, 1]; in `check`, an operator without a singular system.

    Source: Kawar et al. 2022, with their defaults.
    """

    eta: float = 0.85
    eta_b: float = 1.0
    posterior: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (0 <= self.eta <= 1 and 0 <= self.eta_b <= 1):
            raise UserError(f"eta and eta_b lie between 0 and 1, got {self.eta} and {self.eta_b}")

    def check(self, observation: Observation) -> None:
        if observation.operator.system is None:
            raise UserError(
                f"ddrm needs the operator's singular system, and {type(observation.operator).__name__} has none in "
                "closed form: use ddnm+, diffpir or dps, or give a small operator as a matrix"
            )

    def mover(self, solver: Solver, observation: Observation, times: Tensor) -> Solver:
        return _Step(frame(observation), self.eta, self.eta_b)


@dataclass(frozen=True, eq=False)
class _Step:
    """One draw from (1) to (3) for every direction. The first step's state is the prior's, of which (2) and (3) keep
    nothing, so that Kawar et al.'s own start from y is not needed."""

    frame: Frame
    eta: float
    eta_b: float
    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        schedule = gaussian_process(denoiser).schedule
        now, then = level_at(schedule, t), level_at(schedule, s)
        to, variance = self.frame.to, self.frame.variance
        seen = self.frame.seen
        c, state, z = to(denoiser(x, t)), to(x / now.alpha), to(noise[0])
        kept, fresh = math.sqrt(1 - self.eta**2) * then.rho, self.eta * then.rho
        unseen = combine((1 - kept / now.rho, c), (kept / now.rho, state), (fresh, z))
        nu = variance.sqrt()
        noisy = c + (kept / nu.where(nu > 0, torch.ones_like(nu))) * (seen - c) + fresh * z
        spread = (then.rho**2 - self.eta_b**2 * variance).clamp_min(0).sqrt()
        clear = (1 - self.eta_b) * c + self.eta_b * seen + spread * z
        c = torch.where(then.rho >= nu, clear, torch.where(nu.isinf(), unseen, noisy))
        return then.alpha * self.frame.back(c), carry
