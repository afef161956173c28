r"""Plug-and-play and RED: the trained denoiser as the regulariser of a classical method.

With D_rho(x) the denoiser's estimate of x_0 from x = x_0 + rho z, both repeat

    x <- argmin_z |y - A z|^2/noise^2 + |z - D_rho(x)|^2/v,   v = rho^2/weight                                     (1)

Plug-and-play by half-quadratic splitting lets rho fall from step to step (Venkatakrishnan, Bouman and Wohlberg,
"Plug-and-Play Priors for Model Based Reconstruction", 2013; Zhang et al., "Plug-and-Play Image Restoration with Deep
Denoiser Prior", 2021, algorithm 1). RED holds it, so that (1) has a fixed point, where

    A'(A x - y)/noise^2 + (x - D_rho(x))/v = 0                                                                     (2)

(Romano, Elad and Milanfar, "The Little Engine that Could: Regularization by Denoising (RED)", 2017, equation 37 and
section 5.3). By Tweedie's formula D_rho(x) - x is rho^2 times the score of the data with noise rho, so with weight 1
(2) says that x is a mode, or a saddle, of p(y given x) p_rho(x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..solvers.base import Callback, Solver
from ..solvers.gaussian import Level, gaussian_process, level_of
from .base import Observation, Restorer
from .ddnm import project


@dataclass(frozen=True)
class PlugAndPlay(Restorer):
    """(1) at noise levels that fall evenly in log rho, as many as the time grid has steps. The last estimate is the
    result; without noise it is moved to fit y exactly.

    Attributes:
        weight: of the denoiser's estimate; Zhang et al. take 0.23.
        noise_start: the first rho, in the data's scale.
        noise_end: the last rho; None for y's own noise, at least 0.01.

    Raises:
        UserError: a weight or noise level that is not positive, noise levels that rise.
    """

    weight: float = 0.23
    noise_start: float = 1.0
    noise_end: float | None = None
    posterior: ClassVar[bool] = False

    def __post_init__(self) -> None:
        end = self.noise_start if self.noise_end is None else self.noise_end
        if not (self.weight > 0 and 0 < end <= self.noise_start):
            raise UserError(
                f"weight must be positive and 0 < noise_end <= noise_start, got weight {self.weight}, noise_start "
                f"{self.noise_start} and noise_end {self.noise_end}"
            )

    def run(
        self,
        denoiser: Denoiser,
        observation: Observation,
        *,
        stream: Stream,
        times: Tensor,
        solver: Solver,
        callback: Callback | None = None,
        **cond: Any,
    ) -> Tensor:
        end = max(observation.noise, 0.01) if self.noise_end is None else self.noise_end
        start = max(self.noise_start, end)
        count = len(times) - 1
        rhos = [start * (end / start) ** (i / max(1, count - 1)) for i in range(count)]
        estimate = _alternate(self, denoiser, observation, rhos, self.weight, callback, cond)
        return project(estimate, observation) if observation.noise == 0 else estimate


@dataclass(frozen=True)
class RED(Restorer):
    """(1) at one noise level: RED's fixed-point iteration, a result of the proximal step.

    Attributes:
        weight: of the regulariser; 1 for the mode of p(y given x) p_rho(x).
        noise_level: rho, in the data's scale; None for y's own noise, at least 0.1. Small levels need many steps where
            A loses much.
        iterations: None for as many as the time grid has steps.

    Raises:
        UserError: a weight or noise level that is not positive, or iterations below 1.
    """

    weight: float = 1.0
    noise_level: float | None = None
    iterations: int | None = None
    posterior: ClassVar[bool] = False

    def __post_init__(self) -> None:
        level = 1.0 if self.noise_level is None else self.noise_level
        if not (self.weight > 0 and level > 0 and (self.iterations is None or self.iterations >= 1)):
            raise UserError(
                f"weight and noise_level must be positive and iterations at least 1, got {self.weight}, "
                f"{self.noise_level} and {self.iterations}"
            )

    def run(
        self,
        denoiser: Denoiser,
        observation: Observation,
        *,
        stream: Stream,
        times: Tensor,
        solver: Solver,
        callback: Callback | None = None,
        **cond: Any,
    ) -> Tensor:
        rho = max(observation.noise, 0.1) if self.noise_level is None else self.noise_level
        rhos = [rho] * (self.iterations or len(times) - 1)
        estimate = _alternate(self, denoiser, observation, rhos, self.weight, callback, cond)
        return _proximal(observation, estimate, rho**2 / self.weight)


@torch.no_grad()
def _alternate(
    method: Restorer,
    denoiser: Denoiser,
    observation: Observation,
    rhos: list[float],
    weight: float,
    callback: Callback | None,
    cond: dict[str, Any],
) -> Tensor:
    """The denoiser's last estimate after the proximal step and the denoiser at each rho."""
    method.check(observation)
    schedule = gaussian_process(denoiser).schedule
    levels = {rho: level_of(schedule, rho) for rho in set(rhos)}
    zero = observation.y.new_zeros(len(observation.y), *observation.operator.bound_shape)
    # From the mean of a law of unit variance given y: no direction that A nearly loses is blown up.
    x = _proximal(observation, zero, 1.0)
    estimate = x
    for i, rho in enumerate(rhos):
        level, following = levels[rho], levels[rhos[min(i + 1, len(rhos) - 1)]]
        if i > 0:
            x = _proximal(observation, estimate, rho**2 / weight)
        estimate = _denoise(denoiser, x, level, cond)
        if callback is not None:
            callback(i, level.t, following.t, estimate)
    return estimate


def _proximal(observation: Observation, x: Tensor, variance: float) -> Tensor:
    """Equation (1)."""
    return observation.operator.proximal(x, observation.y, noise_variance=observation.noise**2, prior_variance=variance)


def _denoise(denoiser: Denoiser, x: Tensor, level: Level, cond: dict[str, Any]) -> Tensor:
    """D_rho(x) at the level of rho."""
    return denoiser(level.alpha * x, level.t, **cond)
