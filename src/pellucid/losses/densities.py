r"""Where in time a loss is measured: laws of training times.

A density is a map from a uniform number to a time, so that stratified and low-discrepancy numbers serve every density.
It also knows its own p(t), by which a loss is divided where its mean must not depend on where it was measured.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..processes.schedules import Betas, Schedule
from ..processes.weightings import log_snr_rate


class TimeDensity(ABC):
    """A law of training times, by its quantile function.

    `adaptive` says whether training moves it to where the loss is large (see `LossHistory`).
    """

    adaptive: ClassVar[bool] = False

    @abstractmethod
    def times(self, schedule: Schedule, u: Tensor) -> Tensor:
        """Times in (0, 1] for uniform numbers u in [0, 1), of any shape; in u's shape and precision."""

    @abstractmethod
    def density(self, schedule: Schedule, t: Tensor) -> Tensor:
        """p(t), of t's shape. On the steps of a discrete chain, T times the probability of each."""


@dataclass(frozen=True)
class Uniform(TimeDensity):
    """Uniform in time; on the steps 1/T ... 1 where the schedule is a discrete chain."""

    smallest: float = 1e-3

    def times(self, schedule: Schedule, u: Tensor) -> Tensor:
        if isinstance(schedule, Betas):
            return ((u * schedule.num_steps).floor() + 1) / schedule.num_steps
        return self.smallest + (1 - self.smallest) * u

    def density(self, schedule: Schedule, t: Tensor) -> Tensor:
        return torch.full_like(t, 1.0 if isinstance(schedule, Betas) else 1 / (1 - self.smallest))


@dataclass(frozen=True)
class Importance(Uniform):
    """`Uniform` to begin with, and then drawn in proportion to the root of the loss's second moment, each loss divided
    by how much more often its time is drawn: the mean stays that of `Uniform`, its variance falls (Nichol and Dhariwal,
    "Improved Denoising Diffusion Probabilistic Models", 2021, section 3.3)."""

    adaptive: ClassVar[bool] = True


@dataclass(frozen=True)
class LogUniform(TimeDensity):
    """log-SNR uniform from the schedule's end to sigma/alpha = noise_min: the bound's natural density, under which
    every factor of noise counts the same."""

    noise_min: float = 2e-3

    def times(self, schedule: Schedule, u: Tensor) -> Tensor:
        low, high = self._ends(schedule)
        return schedule.time(low + (high - low) * (1 - u.double())).clamp_min(1e-6).to(u.dtype)

    def density(self, schedule: Schedule, t: Tensor) -> Tensor:
        low, high = self._ends(schedule)
        return log_snr_rate(schedule, t) / (high - low)

    def _ends(self, schedule: Schedule) -> tuple[float, float]:
        low, high = schedule.log_snr(torch.ones((), dtype=torch.float64)).item(), -2 * math.log(self.noise_min)
        if not low < high:
            raise UserError(f"noise_min = {self.noise_min:g} lies above the schedule's largest noise")
        return low, high


@dataclass(frozen=True)
class LogNormal(TimeDensity):
    """log(sigma/alpha) ~ N(mean, std^2) (Karras et al., EDM, 2022, table 1), cut to what the schedule reaches."""

    mean: float = -1.2
    std: float = 1.2

    def times(self, schedule: Schedule, u: Tensor) -> Tensor:
        log_noise = self.mean + self.std * _normal_quantile(u)
        return schedule.time(-2 * log_noise).clamp_min(1e-6).to(u.dtype)

    def density(self, schedule: Schedule, t: Tensor) -> Tensor:
        # The mass beyond the schedule's ends sits on them: what is measured there does not count.
        inside = (t < 1) & (t > 1e-6)
        z = (-0.5 * schedule.log_snr(t) - self.mean) / self.std
        return torch.where(inside, _normal(z) / self.std * 0.5 * log_snr_rate(schedule, t), math.inf)


@dataclass(frozen=True)
class LogitNormal(TimeDensity):
    """logit(t) ~ N(mean, std^2) (Esser et al., "Scaling Rectified Flow Transformers", 2024, eq. 19)."""

    mean: float = 0.0
    std: float = 1.0

    def times(self, schedule: Schedule, u: Tensor) -> Tensor:
        return torch.sigmoid(self.mean + self.std * _normal_quantile(u)).to(u.dtype)

    def density(self, schedule: Schedule, t: Tensor) -> Tensor:
        return _normal((t.logit() - self.mean) / self.std) / (self.std * t * (1 - t))


def _normal(z: Tensor) -> Tensor:
    return (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi)


def _normal_quantile(u: Tensor) -> Tensor:
    """The standard normal quantile of u in [0, 1), in float64; u moves into the open interval, where it is finite."""
    return torch.special.ndtri(u.double() * (1 - 2.0**-24) + 2.0**-25)


DENSITIES: Registry[Callable[..., TimeDensity]] = Registry(
    "time density",
    {
        "uniform": Uniform,
        "log-normal": LogNormal,
        "logit-normal": LogitNormal,
        "log-uniform": LogUniform,
        "importance": Importance,
    },
)


def stratify(u: Tensor, shift: Tensor | float = 0.0) -> Tensor:
    """Spreads a batch of uniform numbers evenly: item i gets (i + u_i)/B, shifted on the circle.

    With a shift that is uniform too, each item's number stays uniform on [0, 1).

    Args:
        u: uniform in [0, 1), (B,).
        shift: one number for the batch, in [0, 1).
    """
    place = torch.arange(len(u), device=u.device, dtype=u.dtype)
    return ((place + u) / len(u) + shift) % 1.0
