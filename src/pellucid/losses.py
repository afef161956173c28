r"""Training losses, and where in time they are measured.

The loss of one item is the process's own, at one random time: E over t ~ density and noise of
process.loss(denoiser(x_t, t), x_0, t). A density is a map from a uniform number to a time, so that stratified and
low-discrepancy numbers serve every density.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .denoisers import Denoiser
from .foundations.registry import Registry
from .processes.schedules import Betas, Schedule


def denoising_loss(denoiser: Denoiser, x0: Tensor, t: Tensor, noise: Tensor, **cond: Any) -> Tensor:
    """The process's loss of the denoised estimate at times t, shape (B,).

    Args:
        x0: data, (B, *).
        t: times, (B,).
        noise: the process's randomness, (B, *).
    """
    process = denoiser.process
    # Through __call__, so that distributed wrappers, compilation and hooks see it.
    return process.loss(denoiser(process.corrupt(x0, t, noise), t, **cond), x0, t)


class TimeDensity(ABC):
    """A law of training times, by its quantile function."""

    @abstractmethod
    def times(self, schedule: Schedule, u: Tensor) -> Tensor:
        """Times in (0, 1] for uniform numbers u in [0, 1), of any shape; in u's shape and precision."""


@dataclass(frozen=True)
class Uniform(TimeDensity):
    """Uniform in time; on the steps 1/T ... 1 where the schedule is a discrete chain."""

    smallest: float = 1e-3

    def times(self, schedule: Schedule, u: Tensor) -> Tensor:
        if isinstance(schedule, Betas):
            return ((u * schedule.num_steps).floor() + 1) / schedule.num_steps
        return self.smallest + (1 - self.smallest) * u


@dataclass(frozen=True)
class LogNormal(TimeDensity):
    """log(sigma/alpha) ~ N(mean, std^2) (Karras et al., EDM, 2022, table 1), cut to what the schedule reaches."""

    mean: float = -1.2
    std: float = 1.2

    def times(self, schedule: Schedule, u: Tensor) -> Tensor:
        log_noise = self.mean + self.std * _normal_quantile(u)
        return schedule.time(-2 * log_noise).clamp_min(1e-6).to(u.dtype)


@dataclass(frozen=True)
class LogitNormal(TimeDensity):
    """logit(t) ~ N(mean, std^2) (Esser et al., "Scaling Rectified Flow Transformers", 2024, eq. 19)."""

    mean: float = 0.0
    std: float = 1.0

    def times(self, schedule: Schedule, u: Tensor) -> Tensor:
        return torch.sigmoid(self.mean + self.std * _normal_quantile(u)).to(u.dtype)


def _normal_quantile(u: Tensor) -> Tensor:
    """The standard normal quantile of u in [0, 1), in float64; u moves into the open interval, where it is finite."""
    return torch.special.ndtri(u.double() * (1 - 2.0**-24) + 2.0**-25)


DENSITIES: Registry[Callable[..., TimeDensity]] = Registry(
    "time density", {"uniform": Uniform, "log-normal": LogNormal, "logit-normal": LogitNormal}
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
