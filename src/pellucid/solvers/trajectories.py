r"""A model's own accurate solutions of the probability-flow ODE, which solvers are fitted to and judged by.

With y = x/alpha, rho = sigma/alpha, dy/d log rho = y - x_0: the slopes come with the estimates, free of charge, so that
a cubic gives the solution between the stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..processes.gaussian import Gaussian
from ..processes.schedules import Schedule
from ..processes.times import asinh
from .asinh import AsinhAdams
from .base import sample
from .gaussian import gaussian_process


@dataclass(frozen=True)
class Trajectories:
    """Accurate solutions of the probability-flow ODE.

    Attributes:
        process: their process.
        log_noise: log(sigma/alpha) of the stops, falling, (M,) float64.
        states: x*/alpha at the stops, (M, N, D).
        slopes: d(x*/alpha)/d log(sigma/alpha) there, (M, N, D).
        end: x* at t = 0, (N, D).
        shape: one item's.
    """

    process: Gaussian
    log_noise: Tensor
    states: Tensor
    slopes: Tensor
    end: Tensor
    shape: tuple[int, ...]

    def at(self, log_noise: float) -> Tensor:
        """x* at a noise level, (N, D), by the cubic that meets states and slopes at both neighbouring stops."""
        place = int((self.log_noise > log_noise).sum().clamp(1, len(self.log_noise) - 1))
        left, right = self.log_noise[place - 1].item(), self.log_noise[place].item()
        h = right - left
        u = (log_noise - left) / h
        y = (
            (1 + 2 * u) * (1 - u) ** 2 * self.states[place - 1]
            + u**2 * (3 - 2 * u) * self.states[place]
            + h * u * (1 - u) ** 2 * self.slopes[place - 1]
            - h * u**2 * (1 - u) * self.slopes[place]
        )
        return self.process.schedule.alpha(time_at(self.process.schedule, log_noise)).item() * y


def trajectories(denoiser: Denoiser, start: Tensor, *, num_steps: int = 96) -> Trajectories:
    """Solves the probability-flow ODE from starts at t = 1, (N, *), by `AsinhAdams` of order 5 on the asinh grid."""
    process = gaussian_process(denoiser)
    times = asinh(process.schedule, num_steps)
    states, slopes = [], []

    class Watched:
        """Notes what the solver asks and is told."""

        def __init__(self) -> None:
            self.process = process

        def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
            x0 = denoiser(x, t, **cond)
            y = x / process.schedule.alpha(t).item()
            states.append(y.flatten(1))
            slopes.append((y - x0).flatten(1))
            return x0

    end = sample(Watched(), start, times, AsinhAdams(steps=4))
    log_noise = -0.5 * process.schedule.log_snr(times[:-1])
    return Trajectories(
        process, log_noise, torch.stack(states), torch.stack(slopes), end.flatten(1), tuple(start.shape[1:])
    )


def time_at(schedule: Schedule, log_noise: float) -> Tensor:
    """The time, of shape (), where log(sigma/alpha) has a value."""
    return schedule.time(torch.tensor(-2 * log_noise, dtype=torch.float64))


def instructive(denoiser: Denoiser, start: Tensor, num: int) -> Tensor:
    """Which starts to learn from: half of them as they come, half those that are hardest to solve.

    Where a path passes between two modes, a small error ends far away. Few paths do, and a solver that has seen none of
    them does well on all but those. They are told by how far ends in 10 and in 20 steps lie apart.

    Args:
        denoiser: the model.
        start: candidates at t = 1, (M, *), M >= num.
        num: how many to choose.

    Returns:
        Their places, (num,), int64.
    """
    schedule = gaussian_process(denoiser).schedule
    coarse, fine = (sample(denoiser, start, asinh(schedule, steps), AsinhAdams()) for steps in (10, 20))
    apart = (coarse - fine).flatten(1).square().sum(1)
    easy = num - num // 2
    hard = easy + apart[easy:].argsort(descending=True)[: num // 2]
    return torch.cat([torch.arange(easy, device=hard.device), hard])
