r"""Time grids: at which times a sampler stops. Each runs from 1 down to exactly 0, in num_steps + 1 points, in float64.

With N(t) = sigma_t / alpha_t the noise relative to the signal, and t_min the time where N = noise_min, a grid that
cannot reach zero noise smoothly (log-SNR, Karras) spends its last step from t_min to 0. On a chain t_min is at least
the first step, 1/T: a network that was trained on the chain has seen nothing below.

Each raises a `UserError` for fewer than one step, or where noise_min is not below the schedule's largest noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from .schedules import Betas, Schedule


def uniform(schedule: Schedule, num_steps: int) -> Tensor:
    """Evenly spaced times: the chain itself where the schedule is one."""
    return torch.linspace(1, 0, _checked(num_steps) + 1, dtype=torch.float64)


def quadratic(schedule: Schedule, num_steps: int) -> Tensor:
    """Squares of evenly spaced numbers: denser near the data (Song et al., DDIM, 2020, appendix D.2)."""
    return torch.linspace(1, 0, _checked(num_steps) + 1, dtype=torch.float64).square()


def log_snr(schedule: Schedule, num_steps: int, *, noise_min: float = 2e-3) -> Tensor:
    """Evenly spaced log-SNR (Lu et al., "DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling",
    2022)."""
    first, last = _noise_ends(schedule, noise_min)
    levels = torch.linspace(math.log(first), math.log(last), _checked(num_steps), dtype=torch.float64)
    return _at_noise(schedule, levels)


def karras(schedule: Schedule, num_steps: int, *, noise_min: float = 2e-3, rho: float = 7.0) -> Tensor:
    """N^(1/rho) evenly spaced (Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models",
    2022, eq. 5)."""
    first, last = _noise_ends(schedule, noise_min)
    roots = torch.linspace(first ** (1 / rho), last ** (1 / rho), _checked(num_steps), dtype=torch.float64)
    return _at_noise(schedule, roots.log() * rho)


def cosine(schedule: Schedule, num_steps: int) -> Tensor:
    """The angle arctan N evenly spaced: the grid of the continuous cosine schedule, on any schedule."""
    first = math.atan(_noise_ends(schedule, 0.0)[0])
    angles = torch.linspace(first, 0, _checked(num_steps) + 1, dtype=torch.float64)[:-1]
    return _at_noise(schedule, angles.tan().log())


def asinh(schedule: Schedule, num_steps: int, *, scale: float = 0.03) -> Tensor:
    """asinh(N/scale) evenly spaced: like log-SNR at high noise, like N itself below `scale`, so that it reaches t = 0
    by steps that shrink with the noise, without a last jump."""
    if not scale > 0:
        raise UserError(f"the grid's scale must be positive, got {scale}")
    first = math.asinh(_noise_ends(schedule, 0.0)[0] / scale)
    places = torch.linspace(first, 0, _checked(num_steps) + 1, dtype=torch.float64)[:-1]
    return _at_noise(schedule, (scale * places.sinh()).log())


def _checked(num_steps: int) -> int:
    if num_steps < 1:
        raise UserError(f"a sampler needs at least 1 step, got {num_steps}")
    return num_steps


def _noise_ends(schedule: Schedule, noise_min: float) -> tuple[float, float]:
    one = torch.ones((), dtype=torch.float64)
    first = (schedule.sigma(one) / schedule.alpha(one)).item()
    if isinstance(schedule, Betas) and noise_min > 0:
        step = one / schedule.num_steps
        noise_min = max(noise_min, (schedule.sigma(step) / schedule.alpha(step)).item())
    if not noise_min < first:
        raise UserError(f"noise_min = {noise_min} must lie below the schedule's largest noise, {first:.4g}")
    return first, noise_min


def _at_noise(schedule: Schedule, log_noise: Tensor) -> Tensor:
    times = schedule.time(-2 * log_noise)
    times[0] = 1
    return torch.cat([times, times.new_zeros(1)])


Grid = Callable[[Schedule, int], Tensor]

GRIDS: Registry[Grid] = Registry(
    "time grid",
    {
        "uniform": uniform,
        "quadratic": quadratic,
        "log-snr": log_snr,
        "karras": karras,
        "cosine": cosine,
        "asinh": asinh,
    },
)


def travel(times: Tensor, *, length: int, repeats: int) -> Tensor:
    """Time travel: after every `length` steps goes back `length` steps, `repeats` times.

    A grid that rises is re-noised by the driver there (Lugmayr et al., "RePaint", 2022, section 4.2; Wang et al.,
    "DDNM", 2022, algorithm 2).

    >>> travel(torch.tensor([1.0, 0.5, 0.0]), length=1, repeats=1).tolist()
    [1.0, 0.5, 1.0, 0.5, 0.0, 0.5, 0.0]
    """
    if length < 1 or repeats < 0:
        raise UserError(f"time travel needs length >= 1 and repeats >= 0, got {length=}, {repeats=}")
    stops = [times[:1]]
    for start in range(0, len(times) - 1, length):
        stretch = times[start : start + length + 1]
        stops.append(stretch[1:])
        stops.extend(stretch for _ in range(repeats))
    return torch.cat(stops)
