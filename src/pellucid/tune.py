"""Fewer steps for one model: solvers fitted to its own accurate trajectories, and the number of steps it needs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .auto import REFERENCE_STEPS, Paths, median_error
from .foundations.durable import write_atomic
from .foundations.errors import UserError
from .foundations.rng import Stream, subseed
from .model import TUNED, Model
from .sampling import FITTED, settings_for, solver_for
from .solvers import sample as integrate
from .solvers.fit import fit
from .solvers.fitted import Fitted
from .solvers.trajectories import instructive, trajectories


@dataclass(frozen=True)
class Tuned:
    """A fitted solver and what it is worth.

    Attributes:
        solver: the solver.
        error: its median distance (root mean square over an item's values) from the accurate end, on paths it was not
            fitted to.
        usual: that of the model's default solver at as many steps.
    """

    solver: Fitted
    error: float
    usual: float


def tune(
    model: Model,
    steps: Sequence[int],
    *,
    num_paths: int | None = None,
    calls: int = 1500,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, Tuned]:
    """Fits a solver to the model for each number of steps, under its default guidance and all classes in turn.

    Args:
        model: from `load`.
        steps: numbers of steps, each at least 2.
        num_paths: trajectories to learn from; as many as hold 2,048 values, and at least 64, if absent. Half of them
            are the hardest of four times as many. Half as many more, as they come, judge.
        calls: of the model on all trajectories at once, for each search and as many again for each refinement.
        seed: of the trajectories.
        progress: called with the solvers done and in all.

    Raises:
        UserError: no steps or fewer than 2, fewer than 8 trajectories, or a process that is not Gaussian.
    """
    if not steps or min(steps) < 2:
        raise UserError(f"give numbers of steps of at least 2, got {list(steps)}")
    count = max(64, math.ceil(2048 / math.prod(model.shape))) if num_paths is None else num_paths
    if count < 8:
        raise UserError(f"a solver is fitted to at least 8 trajectories, got {count}")
    paths = Paths(model, 4 * count + count // 2, subseed(seed, "tune"))
    rows = instructive(paths.denoiser(slice(0, 4 * count)), paths.start[: 4 * count], count)
    learnt = paths.denoiser(rows)
    path = trajectories(learnt, paths.start[rows], num_steps=REFERENCE_STEPS)
    judge, start = paths.denoiser(slice(4 * count, None)), paths.start[4 * count :]
    exact = trajectories(judge, start, num_steps=REFERENCE_STEPS).end
    found = {}
    for done, number in enumerate(sorted(set(steps))):
        solver = fit(learnt, path, number, calls=calls, typical=count - count // 2)
        usual, grid = solver_for(model, settings_for(model, steps=number, solver=usual_solver(model)))
        stream = Stream.of(seed, range(len(exact)), model.device)
        found[number] = Tuned(
            solver,
            error=median_error(integrate(judge, start, solver.grid, solver), exact),
            usual=median_error(integrate(judge, start, grid, usual, stream=stream), exact),
        )
        if progress is not None:
            progress(done + 1, len(set(steps)))
    return found


def usual_solver(model: Model) -> str:
    """The default solver, unless that is itself a fitted one."""
    name = model.card.sampling.solver
    return "asinh-adams" if name == FITTED else name


def save_tuned(model: Model, folder: Path, found: dict[int, Tuned]) -> Path:
    """Keeps fitted solvers beside the model, with those it has already; they are used by solver="fitted"."""
    solvers = {**model.fitted, **{steps: tuned.solver for steps, tuned in found.items()}}
    content = {
        "weights": model.weights_hash,
        "solvers": {str(steps): solver.to_json() for steps, solver in sorted(solvers.items())},
    }
    return write_atomic(folder / TUNED, json.dumps(content, indent=1) + "\n")
