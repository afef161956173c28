r"""One walk of a solver whose coefficients are fitted on the way; the pieces that `fit` searches with.

At step i, with its own states and estimates as regressors, least squares over all paths n and values

    min_{a, b} sum_n w_n || a x_i + sum_j b_j x_0^(i-j) - x*(t_{i+1}) ||^2                                         (1)

gives the coefficients in closed form, so that the errors made so far are corrected as far as they can be. A small ridge
pulls towards the coefficients of `AsinhAdams`, which are right for every model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..processes.gaussian import Gaussian
from .asinh import AsinhAdams
from .base import Solver
from .fitted import Fitted
from .gaussian import combine
from .trajectories import Trajectories, time_at

Weights = tuple[float, ...]
_TINY = 1e-14  # a squared error below any that matters, so that its logarithm exists


@dataclass(frozen=True)
class Walk:
    """What a student did and how well it ended.

    Attributes:
        log_noise: of its stops, falling; t = 0 follows the last.
        times: of its stops, with t = 0, float64.
        states: at each of them, n + 1 of (N, *).
        estimates: of x_0 at each but the last, n of (N, *).
        weights: (a, b_0, ...) of each step.
        errors: mean square distance of each path from the accurate end, (N,), float64.
        typical: how many of the paths, the first ones, are as they come; the others were chosen because they are hard.
    """

    log_noise: tuple[float, ...]
    times: tuple[Tensor, ...]
    states: tuple[Tensor, ...]
    estimates: tuple[Tensor, ...]
    weights: tuple[Weights, ...]
    errors: Tensor
    typical: int

    @property
    def score(self) -> float:
        """log of the typical paths' geometric mean error, which is near their median, times all paths' root mean
        square error, which the few decide that end in another mode."""
        return 0.5 * (self.errors[: self.typical].log().mean() + self.errors.mean().log()).item()

    @property
    def importance(self) -> Tensor:
        """The derivative of the score with respect to the errors, up to a factor, (N,), of mean 1; floored, lest a path
        that ended right by luck weigh all."""
        weight = 1 / (self.errors + 0.1 * self.errors.median())
        weight[self.typical :] = 0
        weight = weight / self.typical + 1 / (len(weight) * self.errors.mean())
        return weight / weight.mean()

    @property
    def solver(self) -> Fitted:
        """The walk's steps as a solver."""
        return Fitted(tuple(t.item() for t in self.times), self.weights)


class Student:
    """Walks over grids, with the same model, paths and settings.

    Args:
        denoiser: the model, called on N items at a time.
        path: its accurate trajectories.
        order: past estimates used.
        ridge: weight of the pull towards the usual coefficients, relative to the regressors' own size; None keeps to
            them.
        importance: w_n of equation (1), (N,); all the same if None.
        typical: as in `Walk`.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        path: Trajectories,
        *,
        order: int,
        ridge: float | None,
        importance: Tensor | None = None,
        typical: int | None = None,
    ) -> None:
        self.path, self.order, self.typical = path, order, typical or len(path.end)
        self.calls = 0
        self._denoiser, self._ridge = denoiser, ridge
        one = torch.ones(len(path.end), dtype=torch.float64) if importance is None else importance
        self._root = one.sqrt()[:, None].to(path.end.device)

    def walk(self, log_noise: Sequence[float], base: Walk | None = None, since: int = 0) -> Walk:
        """Fits on the way from the first stop to t = 0.

        Args:
            log_noise: the stops.
            base: a walk with the same stops up to and including number `since`, whose calls are used again.
        """
        schedule = self.path.process.schedule
        zero = torch.zeros((), dtype=torch.float64)
        times = [zero + 1, *(time_at(schedule, level) for level in log_noise[1:]), zero]
        usual = transcribe(AsinhAdams(min(4, max(1, self.order - 1))), self.path.process, times)
        if base is None:
            states = [self.path.at(log_noise[0]).reshape(-1, *self.path.shape)]
            estimates: list[Tensor] = []
            weights: list[Weights] = []
        else:
            states, estimates = list(base.states[: since + 1]), list(base.estimates[: since + 1])
            weights = list(base.weights[:since])
        for i in range(len(weights), len(log_noise)):
            if len(estimates) == i:
                estimates.append(self._ask(states[i], times[i]))
            regressors = [states[i], *estimates[i::-1][: self.order]]
            weight = usual[i][: len(regressors)]
            if self._ridge is not None:
                target = self.path.at(log_noise[i + 1]) if i + 1 < len(log_noise) else self.path.end
                weight = self._least_squares(regressors, target, weight, self._ridge)
            weights.append(weight)
            states.append(combine(*zip(weight, regressors, strict=True)))
        return self._walk(log_noise, times, states, estimates, weights)

    def replay(self, base: Walk, weights: Sequence[Weights], since: int = 0, state: Tensor | None = None) -> Walk:
        """The walk with given weights; what came before step `since` is taken from `base`.

        Args:
            state: before step `since`, where it is another than the base's.
        """
        states, estimates = list(base.states[: since + 1]), list(base.estimates[:since])
        if state is not None:
            states[-1] = state
        for i in range(since, len(weights)):
            estimates.append(self._ask(states[i], base.times[i]))
            states.append(combine(*zip(weights[i], [states[i], *estimates[i::-1][: len(weights[i]) - 1]], strict=True)))
        return self._walk(base.log_noise, base.times, states, estimates, weights)

    def _ask(self, x: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        return self._denoiser(x, t)

    def _walk(
        self,
        log_noise: Sequence[float],
        times: Sequence[Tensor],
        states: Sequence[Tensor],
        estimates: Sequence[Tensor],
        weights: Sequence[Weights],
    ) -> Walk:
        errors = (states[-1].flatten(1) - self.path.end).double().square().mean(1) + _TINY
        kept = (tuple(log_noise), tuple(times), tuple(states), tuple(estimates), tuple(weights))
        return Walk(*kept, errors.cpu(), self.typical)

    def _least_squares(self, regressors: list[Tensor], target: Tensor, usual: Weights, ridge: float) -> Weights:
        """Equation (1) with the ridge, in float64, by the normal equations: there are at most six unknowns."""
        columns = torch.stack([(r.flatten(1).double() * self._root).flatten() for r in regressors])
        gram = columns @ columns.T
        prior = torch.tensor(usual, dtype=torch.float64, device=columns.device)
        rest = columns @ (target.double() * self._root).flatten() - gram @ prior
        # Relative to each regressor's own size, so that it means the same at every noise level.
        penalty = ridge**2 * torch.diag(gram.diagonal())
        return tuple((prior + torch.linalg.solve(gram + penalty, rest)).tolist())


def transcribe(solver: Solver, process: Gaussian, times: Sequence[Tensor]) -> list[Weights]:
    """What a deterministic multistep solver of one call a step does on a grid, as (a, b_0, b_1, ...) for each step: at
    step i all i + 1 estimates known, newest first.

    A solver is linear in its start and in the estimates that it is given, so unit vectors read its coefficients off.
    """
    count = len(times) - 1
    units = torch.eye(count + 1, dtype=torch.float64)[:, None]
    asked = _Units(process, units[1:])
    x, carry, weights = units[0], None, []
    for i, (t, s) in enumerate(pairwise(times)):
        moved, carry = solver(asked, x, t, s, x.new_empty((0, 1, count + 1)), carry)
        keep = (moved[0, 0] / x[0, 0]).item()
        weights.append((keep, *(moved - keep * x)[0, 1 : i + 2].flip(0).tolist()))
        x = moved
    return weights


class _Units:
    """A denoiser whose i-th answer is the i-th unit vector."""

    def __init__(self, process: Gaussian, answers: Tensor) -> None:
        self.process = process
        self._answers = iter(answers)

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        return next(self._answers)
