r"""Fitting a solver to a model: accurate trajectories first, then times and coefficients for a number of steps.

1. Starts: the grids that are evenly spaced in asinh(rho/scale), the fixed default among them, each with its
   coefficients fitted in closed form (`student`, equation 1) under several ridges, or as they are: of many steps the
   usual coefficients are hard to better.
2. Search: the grid is bent by hats, broad ones first, then stop by stop; a change is kept if the score falls. Calls
   before the first changed stop are used again.
3. Refinement: all coefficients c together, by Gauss and Newton with damping mu, on the error at the end alone:

       min_d sum_n w_n || x(t = 0; c) + J d - x*(0) ||^2 + mu sum_j |J_j|^2 d_j^2                                  (1)

   with the columns J_j from finite differences, each of which costs the calls after its step, and w_n the score's own
   derivatives.

The score weighs the many paths and the worst ones alike (`student.Walk.score`). The cost is counted in calls of the
model on all paths at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from .fitted import Fitted
from .gaussian import combine
from .student import Student, Walk, Weights
from .trajectories import Trajectories

_SCALES = (0.01, 0.02, 0.03, 0.05, 0.08, 0.16, 0.32, 0.64, 1.28)
_DEFAULT_SCALE = 0.03
_NOISE_MIN = 5e-4
_MOST_NUMBERS = 1 << 25  # of the matrix J; beyond, some values of each item are left out
_DAMPINGS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def fit(
    denoiser: Denoiser,
    path: Trajectories,
    num_steps: int,
    *,
    order: int = 5,
    ridge: float = 1e-3,
    calls: int = 3000,
    typical: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """The solver of `num_steps` steps that ends nearest to the model's own accurate trajectories.

    Args:
        denoiser: the model; called on all N paths at a time.
        path: from `trajectories`, of the same denoiser.
        num_steps: steps, each one call of the denoiser.
        order: past estimates used, 1 to 5, k of `fitted` equation (1).
        ridge: weight of the pull towards the coefficients of `AsinhAdams`, relative to the regressors' own size; 10 and
            100 times as much are tried too.
        calls: of the denoiser, half for the search and half for the refinement, from each of two starts; 0 tries the
            starts alone, which are 36 walks.
        typical: how many paths, the first ones, are as they come, where the others were chosen as hard ones
            (`trajectories.instructive`); all of them if None.
        progress: called with the calls made and allowed.

    Raises:
        UserError: fewer than 2 steps, or an order out of range.
    """
    if num_steps < 2:
        raise UserError(f"a fitted solver needs at least 2 steps, got {num_steps}")
    if order not in (1, 2, 3, 4, 5):
        raise UserError(f"a fitted solver uses 1 to 5 past estimates, got {order}")
    first = path.log_noise[0].item()
    fixed = Student(denoiser, path, order=order, ridge=None, typical=typical)
    default = fixed.walk(_spaced(first, num_steps, _DEFAULT_SCALE))
    fitted = [
        Student(denoiser, path, order=order, ridge=factor * ridge, importance=default.importance, typical=typical)
        for factor in (1, 10, 100)
    ]
    starts = [
        min(((each.walk(_spaced(first, num_steps, scale)), each) for scale in _SCALES), key=lambda s: s[0].score)
        for each in (*fitted, fixed)
    ]
    # The freest coefficients promise most of few steps, and the usual ones of many: from both ends, the better one.
    begun = [starts[0], min(starts[1:], key=lambda s: s[0].score)] if calls else starts
    found = [default]
    for place, (walk, student) in enumerate(begun):
        student.calls = 0

        def tell(student: Student = student, place: int = place) -> None:
            if progress is not None:
                progress(place * calls + min(student.calls, calls), 2 * calls)

        if calls:
            walk = _search(student, walk, calls // 2, tell)
            walk = _refine(student, walk, student.calls + calls // 2, tell)
        found.append(walk)
    return min(found, key=lambda walk: walk.score).solver


def _search(student: Student, best: Walk, most: int, tell: Callable[[], None]) -> Walk:
    """Step 2: hats of falling width, then of falling height."""
    count = len(best.log_noise)
    width, height = max(1, count // 4), 0.5
    while student.calls < most and height > 0.03:
        before = best.score
        for i in range(1, count):
            for height_now in (height, -height):
                trial = _bent(best.log_noise, i, width, height_now)
                if trial is not None and student.calls < most:
                    walk = student.walk(trial, best, max(0, i - width))
                    best = min(best, walk, key=lambda w: w.score)
            tell()
        if width > 1:
            width //= 2
        elif before - best.score < 0.05:
            height /= 2
    return best


def _bent(log_noise: tuple[float, ...], centre: int, width: int, height: float) -> list[float] | None:
    """The stops moved by a hat around one of them, by a fraction of the way to its neighbour; None if they cross."""
    below = log_noise[centre + 1] if centre + 1 < len(log_noise) else log_noise[centre] - 1
    gap = log_noise[centre - 1] - log_noise[centre] if height > 0 else log_noise[centre] - below
    bent = list(log_noise)
    for j in range(max(1, centre - width + 1), min(len(bent), centre + width)):
        bent[j] += height * gap * (1 - abs(j - centre) / width)
    falling = all(a > b + 1e-3 for a, b in pairwise(bent))
    return bent if falling and bent[-1] > math.log(_NOISE_MIN) else None


def _refine(student: Student, best: Walk, most: int, tell: Callable[[], None]) -> Walk:
    """Step 3, as often as the calls allow and the score falls."""
    count = len(best.weights)
    cost = sum(len(weight) * (count - 1 - i) for i, weight in enumerate(best.weights)) + len(_DAMPINGS) * count
    while student.calls + cost <= most:
        trial = _gauss_newton(student, best)
        tell()
        if trial.score > best.score - 0.02:
            return min(best, trial, key=lambda walk: walk.score)
        best = trial
    return best


def _gauss_newton(student: Student, base: Walk) -> Walk:
    """The best of equation (1)'s solutions over the dampings."""
    places = [(i, j) for i, weight in enumerate(base.weights) for j in range(len(weight))]
    stride = math.ceil(len(places) * base.states[0].numel() / _MOST_NUMBERS)
    end = base.states[-1].flatten(1)[:, ::stride]
    root = base.importance.to(end.device).sqrt()[:, None]
    columns = []
    for i, j in places:
        regressor = base.states[i] if j == 0 else base.estimates[i - j + 1]
        # Small against the state, large against the round-off of a float32 network.
        small = 1e-3 * float(base.states[i + 1].norm() / regressor.norm().clamp_min(1e-12))
        state = combine((1.0, base.states[i + 1]), (small, regressor))
        moved = student.replay(base, base.weights, i + 1, state).states[-1]
        columns.append((((moved.flatten(1)[:, ::stride] - end) / small).double() * root).flatten())
    matrix = torch.stack(columns)
    gram = matrix @ matrix.T
    pull = matrix @ ((student.path.end[:, ::stride] - end).double() * root).flatten()
    trials = []
    for damping in _DAMPINGS:
        change = torch.linalg.solve(gram + damping * torch.diag(gram.diagonal() + 1e-12), pull).tolist()
        trials.append(student.replay(base, _changed(base.weights, places, change)))
    return min(trials, key=lambda walk: walk.score)


def _changed(weights: tuple[Weights, ...], places: list[tuple[int, int]], change: list[float]) -> list[Weights]:
    new = [list(weight) for weight in weights]
    for (i, j), by in zip(places, change, strict=True):
        new[i][j] += by
    return [tuple(weight) for weight in new]


def _spaced(first: float, count: int, scale: float) -> list[float]:
    """log(sigma/alpha) of `times.asinh`, without t = 0."""
    places = torch.linspace(math.asinh(math.exp(first) / scale), 0, count + 1, dtype=torch.float64)[:-1]
    return [first, *(scale * places[1:].sinh()).log().tolist()]
