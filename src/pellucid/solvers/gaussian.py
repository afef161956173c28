r"""What every solver of a Gaussian process starts with: noise levels as Python floats, and sums of tensors.

A level is one time of the schedule. All coefficients are functions of

    rho = sigma/alpha,   lambda = log(alpha/sigma) = -log rho                                                      (1)

in float64; only the sums over the state touch tensors.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.gaussian import Gaussian
from ..processes.schedules import Schedule, VariancePreserving


class Level(NamedTuple):
    """A time of shape () and the schedule there."""

    t: Tensor
    alpha: float
    sigma: float

    @property
    def rho(self) -> float:
        """The noise relative to the signal; 0 at t = 0."""
        return self.sigma / self.alpha

    @property
    def lam(self) -> float:
        """log(alpha/sigma), +inf at t = 0."""
        return math.log(self.alpha) - math.log(self.sigma) if self.sigma > 0 else math.inf


def gaussian_process(denoiser: Denoiser) -> Gaussian:
    """The denoiser's process, which must be Gaussian.

    Raises:
        UserError: a solver or a restoration method for numbers was asked to serve another process.
    """
    process = denoiser.process
    if not isinstance(process, Gaussian):
        raise UserError(
            f"this method works under a Gaussian process, got {type(process).__name__}; the solver 'ancestral' serves "
            "every process"
        )
    return process


def level_at(schedule: Schedule, t: Tensor) -> Level:
    """The level of a time of shape ()."""
    if isinstance(schedule, VariancePreserving):
        # Both scales from the one function they share: half the time of a discrete chain.
        log_alpha = schedule.log_alpha(t).item()
        return Level(t, math.exp(log_alpha), math.sqrt(-math.expm1(2 * log_alpha)))
    return Level(t, schedule.alpha(t).item(), schedule.sigma(t).item())


def level_of(schedule: Schedule, rho: float) -> Level:
    """The level whose sigma/alpha is rho > 0, or t = 1 where the schedule does not reach so much noise."""
    return level_at(schedule, schedule.time(torch.tensor(-2 * math.log(rho), dtype=torch.float64)))


def levels(denoiser: Denoiser, t: Tensor, s: Tensor, known: Level | None) -> tuple[Schedule, Level, Level]:
    """The schedule and the levels of a step's two ends.

    Args:
        known: the level where the step before ended, used again if that is this very t; or None.

    Raises:
        UserError: the process is not Gaussian.
    """
    schedule = gaussian_process(denoiser).schedule
    now = known if known is not None and known.t is t else level_at(schedule, t)
    return schedule, now, level_at(schedule, s)


def combine(*terms: tuple[float, Tensor]) -> Tensor:
    """The sum of weight times tensor in one new tensor; terms of weight zero are left out after the first."""
    weight, tensor = terms[0]
    total = tensor * weight
    for weight, tensor in terms[1:]:
        if weight:
            total.add_(tensor, alpha=weight)
    return total


def euler(x: Tensor, x0: Tensor, now: Level, then: Level) -> Tensor:
    """The move of constant noise direction, alpha_s x_0 + sigma_s (x_t - alpha_t x_0)/sigma_t, regular at s = 0."""
    keep = then.sigma / now.sigma
    return combine((then.alpha - now.alpha * keep, x0), (keep, x))


def at_level(carry: Any) -> Level | None:
    """A carry that is nothing but the level where the last step ended."""
    assert carry is None or isinstance(carry, Level)
    return carry
