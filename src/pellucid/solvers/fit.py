r"""Fitting a solver to a model: accurate trajectories first, then times and coefficients for a number of steps.

Given the model's own accurate trajectories x*(t) from many starts, the student walks its grid; at each step, with its
own states and estimates as regressors, least squares over all starts and values

    min_{a, b} || a x_i + sum_j b_j x_0^(i-j) - x*(t_{i+1}) ||^2                                                   (1)

gives the coefficients in closed form, so the errors made so far are corrected as far as they can be. A small ridge
pulls towards the exponential Adams coefficients, which are right for every model. The grid is then improved by pattern
search on the error at the end, whose every trial costs one student's walk.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.gaussian import Gaussian
from ..processes.schedules import Schedule
from .base import sample
from .exponential import exact_shares, move
from .fitted import Fitted
from .gaussian import combine, gaussian_process, level_at
from .multistep import Adams

_NOISE_MIN = 2e-3


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
        alpha = self.process.schedule.alpha(_time(self.process.schedule, log_noise))
        return alpha.item() * y


def trajectories(
    denoiser: Denoiser, start: Tensor, *, num_steps: int = 96, noise_min: float = _NOISE_MIN
) -> Trajectories:
    """Solves the probability-flow ODE accurately from starts at t = 1, (N, *), by exponential Adams of fourth order.

    With dy/d log rho = y - x_0 (y = x/alpha, rho = sigma/alpha) the slopes come with the estimates, free of charge.
    """
    process = gaussian_process(denoiser)
    first = _log_noise(process.schedule, torch.ones((), dtype=torch.float64))
    levels = torch.linspace(first, math.log(noise_min), num_steps, dtype=torch.float64)
    times = torch.cat([process.schedule.time(-2 * levels), torch.zeros(1, dtype=torch.float64)])
    times[0] = 1.0
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

    end = sample(Watched(), start, times, Adams(order=4))
    return Trajectories(
        process, levels, torch.stack(states), torch.stack(slopes), end.flatten(1), tuple(start.shape[1:])
    )


def fit(
    denoiser: Denoiser,
    path: Trajectories,
    num_steps: int,
    *,
    order: int = 4,
    ridge: float = 1e-3,
    rounds: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """The solver of `num_steps` steps that ends nearest to the model's own accurate trajectories.

    Args:
        denoiser: the model; called on N items at a time.
        path: from `trajectories`, of the same denoiser.
        num_steps: steps, each one call of the denoiser.
        order: past estimates used, k of `fitted` equation (1).
        ridge: weight of the pull towards the Adams coefficients, relative to the regressors' own size.
        rounds: passes of the pattern search over the grid's interior times.
        progress: called with the passes done and in all.

    Raises:
        UserError: fewer than 2 steps.
    """
    if num_steps < 2:
        raise UserError(f"a fitted solver needs at least 2 steps, got {num_steps}")
    first, last = path.log_noise[0].item(), path.log_noise[-1].item()

    def attempt(inner: list[float]) -> tuple[float, Fitted]:
        return _walk(denoiser, path, [first, *inner], order, ridge)

    # Starts: noise levels evenly spaced in the p-th root, p from Karras' 7 to the logarithm, down to a few last levels.
    best_error, best, inner = math.inf, None, []
    for floor in (last, math.log(0.01), math.log(0.03), math.log(0.08)):
        for power in (3.0, 7.0, math.inf):
            trial = _spaced(first, floor, num_steps, power)[1:]
            error, solver = attempt(trial)
            if error < best_error:
                best_error, best, inner = error, solver, trial
    width = 0.5
    for done in range(rounds):
        for i in range(len(inner)):
            upper = first if i == 0 else inner[i - 1]
            lower = last if i == len(inner) - 1 else inner[i + 1]
            for target, gap in ((upper, upper - inner[i]), (lower, inner[i] - lower)):
                trial = list(inner)
                trial[i] += math.copysign(width * gap, target - inner[i])
                if not all(a > b + 1e-3 for a, b in zip([first, *trial], trial, strict=False)):
                    continue
                error, solver = attempt(trial)
                if error < best_error:
                    best_error, best, inner = error, solver, trial
        width *= 0.6
        if progress is not None:
            progress(done + 1, rounds)
    assert best is not None
    return best


def _walk(
    denoiser: Denoiser, path: Trajectories, log_noise: list[float], order: int, ridge: float
) -> tuple[float, Fitted]:
    """One student's walk over the grid, its coefficients fitted on the way; its error at the end and itself."""
    schedule = path.process.schedule
    times = [_time(schedule, level) for level in log_noise] + [torch.zeros((), dtype=torch.float64)]
    times[0] = torch.ones((), dtype=torch.float64)
    x = path.at(log_noise[0]).reshape(-1, *path.shape)
    known: list[Tensor] = []
    levels: list[float] = []
    weights = []
    for i, (t, s) in enumerate(pairwise(times)):
        known = [denoiser(x, t), *known][:order]
        levels = [log_noise[i], *levels][:order]
        target = path.at(log_noise[i + 1]) if i + 1 < len(log_noise) else path.end
        usual = _adams(schedule, t, s, levels)
        weight = _least_squares([x, *known], target, usual, ridge)
        x = combine(*zip(weight, [x, *known], strict=True))
        weights.append(tuple(weight))
    per_path = (x.flatten(1) - path.end).double().square().mean(1)
    # Few paths end far away, in another mode, by no fault of the coefficients: the mean of the logarithm does not let
    # them decide.
    error = (per_path + 1e-12).log().mean().item()
    return error, Fitted(tuple(t.item() for t in times), tuple(weights))


def _adams(schedule: Schedule, t: Tensor, s: Tensor, log_noise: list[float]) -> list[float]:
    """The exponential Adams step as (a, b_0, ...)."""
    now, then = level_at(schedule, t), level_at(schedule, s)
    step = move(now, then, 0.0)
    return [step.keep, *(step.gain * share for share in exact_shares([-level for level in log_noise], now, then, 0.0))]


def _least_squares(regressors: list[Tensor], target: Tensor, usual: list[float], ridge: float) -> list[float]:
    """Equation (1) with the ridge, in float64, by the normal equations: there are at most five unknowns."""
    columns = torch.stack([r.reshape(-1) for r in regressors]).double()
    gram = columns @ columns.T
    prior = torch.tensor(usual, dtype=torch.float64)
    rest = columns @ target.reshape(-1).double() - gram @ prior
    # Relative to each regressor's own size, so that it means the same at every noise level.
    penalty = ridge**2 * torch.diag(gram.diagonal())
    return (prior + torch.linalg.solve(gram + penalty, rest)).tolist()


def _spaced(first: float, last: float, count: int, power: float) -> list[float]:
    if math.isinf(power):
        return torch.linspace(first, last, count, dtype=torch.float64).tolist()
    roots = torch.linspace(math.exp(first / power), math.exp(last / power), count, dtype=torch.float64)
    return (power * roots.log()).tolist()


def _time(schedule: Schedule, log_noise: float) -> Tensor:
    return schedule.time(torch.tensor(-2 * log_noise, dtype=torch.float64))


def _log_noise(schedule: Schedule, t: Tensor) -> float:
    return -0.5 * schedule.log_snr(t).item()
