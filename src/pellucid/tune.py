"""Fewer steps for one model: solvers fitted to its own accurate trajectories, and the number of steps it needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .denoisers import Denoiser
from .foundations.durable import write_atomic
from .foundations.errors import UserError
from .foundations.rng import Stream, subseed
from .generate import guided, labels_for, settings_for, solver_for
from .model import TUNED, Model
from .processes.base import Process
from .solvers import sample as integrate
from .solvers.fit import fit
from .solvers.fitted import Fitted
from .solvers.trajectories import trajectories

_REFERENCE_STEPS = 96
LADDER = (4, 5, 6, 8, 10, 12, 15, 20, 30, 50, 80)


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
    num_paths: int = 128,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, Tuned]:
    """Fits a solver to the model for each number of steps, under its default guidance and all classes in turn.

    Args:
        model: from `load`.
        steps: numbers of steps, each at least 2.
        num_paths: trajectories to learn from; half as many more judge.
        seed: of the trajectories.
        progress: called with the solvers done and in all.

    Raises:
        UserError: no steps, or fewer than 2.
    """
    if not steps or min(steps) < 2:
        raise UserError(f"give numbers of steps of at least 2, got {list(steps)}")
    task = _Task(model, num_paths + num_paths // 2, subseed(seed, "tune"))
    path = trajectories(task.denoiser(slice(0, num_paths)), task.start[:num_paths], num_steps=_REFERENCE_STEPS)
    rest = slice(num_paths, None)
    exact = trajectories(task.denoiser(rest), task.start[rest], num_steps=_REFERENCE_STEPS).end
    found = {}
    for done, count in enumerate(sorted(set(steps))):
        solver = fit(task.denoiser(slice(0, num_paths)), path, count)
        error = _median(integrate(task.denoiser(rest), task.start[rest], solver.grid, solver), exact)
        usual, grid = solver_for(model, settings_for(model, steps=count, solver=_usual(model)))
        stream = Stream.of(seed, range(len(exact)), model.device)
        plain = _median(integrate(task.denoiser(rest), task.start[rest], grid, usual, stream=stream), exact)
        found[count] = Tuned(solver, error, plain)
        if progress is not None:
            progress(done + 1, len(set(steps)))
    return found


def save_tuned(model: Model, folder: Path, found: dict[int, Tuned]) -> Path:
    """Keeps fitted solvers beside the model, with those it has already; they are used by solver="fitted"."""
    solvers = {**model.fitted, **{steps: tuned.solver for steps, tuned in found.items()}}
    content = {
        "weights": model.weights_hash,
        "solvers": {str(steps): solver.to_json() for steps, solver in sorted(solvers.items())},
    }
    return write_atomic(folder / TUNED, json.dumps(content, indent=1) + "\n")


@torch.no_grad()
def auto_steps(
    model: Model, *, tolerance: float = 0.02, solver: str | None = None, num_paths: int = 16, seed: int = 0
) -> tuple[int, float]:
    """The fewest steps whose median distance from the accurate end is within a tolerance, by trying on a few paths.

    Args:
        model: from `load`.
        tolerance: in the model's scale; 0.02 is 2.5 grey levels of 256.
        solver: a name; the model's default if absent. It must be deterministic.
        num_paths: how many paths are tried.
        seed: of the paths.

    Returns:
        The steps and their error; the most of `LADDER` where none is good enough.
    """
    if not tolerance > 0:
        raise UserError(f"the tolerance must be positive, got {tolerance}")
    task = _Task(model, num_paths, subseed(seed, "auto"))
    denoiser = task.denoiser(slice(None))
    exact = trajectories(denoiser, task.start, num_steps=_REFERENCE_STEPS).end
    error = float("inf")
    for steps in LADDER:
        mover, grid = solver_for(model, settings_for(model, steps=steps, solver=solver))
        if mover.draws:
            raise UserError("steps can be chosen for deterministic solvers only: one that draws noise ends elsewhere")
        error = _median(integrate(denoiser, task.start, grid, mover), exact)
        if error <= tolerance:
            return steps, error
    return LADDER[-1], error


class _Task:
    """Starts and labels, and the denoiser of any stretch of them."""

    def __init__(self, model: Model, count: int, seed: int) -> None:
        self.process = model.denoiser.process
        self.guided = guided(model, settings_for(model))
        self.labels = labels_for(model, range(count), None)
        stream = Stream.of(seed, range(count), model.device)
        self.start = self.process.prior(self.process.draw(stream, model.shape, step=0)[0, 0])

    def denoiser(self, rows: slice) -> Denoiser:
        """The guided model, with the labels of some rows filled in."""
        labels = None if self.labels is None else self.labels[rows]
        return _Filled(self.process, self.guided, {} if labels is None else {"label": labels})


@dataclass(frozen=True)
class _Filled:
    process: Process
    inner: Denoiser
    cond: dict[str, Tensor]

    @torch.no_grad()
    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        return self.inner(x, t, **self.cond, **cond)


def _usual(model: Model) -> str:
    """The default solver, unless that is itself a fitted one."""
    name = model.card.sampling.solver
    return "dpmpp-2m" if name == "fitted" else name


def _median(end: Tensor, exact: Tensor) -> float:
    return (end.flatten(1) - exact).square().mean(1).sqrt().median().item()
