"""How many steps a model needs: found by trying on a few of its own paths, whose accurate ends are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .asked import Asked
from .denoisers import Denoiser
from .foundations.errors import UserError
from .foundations.rng import Stream, subseed
from .model import Model
from .processes.base import Process
from .sampling import FITTED, Settings, asked_for, guided, settings_for, solver_for
from .solvers import Solver
from .solvers import sample as integrate
from .solvers.trajectories import trajectories

REFERENCE_STEPS = 96
TOLERANCE = 0.02  # 2.5 grey levels of 256
LADDER = (4, 5, 6, 8, 10, 12, 15, 20, 30, 50, 80)


@dataclass(frozen=True)
class Chosen:
    """A number of steps and why.

    Attributes:
        steps: the fewest whose error is within the tolerance; where none is, those of the least error.
        error: their median distance from the accurate end (root mean square over an item's values).
        tolerance: what was asked for.
        fewer: the steps tried just before, and their error; None where the fewest of all were good enough.
        solver: whose steps these are.
    """

    steps: int
    error: float
    tolerance: float
    fewer: tuple[int, float] | None
    solver: str

    def sentence(self) -> str:
        """The choice in words."""
        if self.error > self.tolerance:
            return (
                f"no number of steps that was tried ends within {self.tolerance:g} of the accurate solution; the "
                f"nearest is {self.steps} steps of {self.solver}, at a median of {self.error:.4f}"
            )
        told = f"{self.steps} steps of {self.solver}: median distance to the accurate solution {self.error:.4f}"
        less = "" if self.fewer is None else f"; {self.fewer[0]} steps end at {self.fewer[1]:.4f}"
        return f"{told}, within {self.tolerance:g}{less}"


@torch.no_grad()
def auto_steps(
    model: Model,
    *,
    tolerance: float = TOLERANCE,
    asked: Asked | None = None,
    guidance: float | None = None,
    guidance_kind: str | None = None,
    solver: str | Solver | None = None,
    grid: str | None = None,
    force: bool = False,
    num_paths: int = 16,
    seed: int = 0,
) -> Chosen:
    """The fewest steps whose median distance from the accurate end is within a tolerance, by trying on a few paths.

    Steps are those of `LADDER`; for "fitted", those that the model was tuned for.

    Args:
        model: from `load`.
        tolerance: in the model's scale; 0.02 is 2.5 grey levels of 256.
        asked: what the samples are asked for; nothing in particular if None.
        guidance, guidance_kind, solver, grid, force: as in `generate.sample`, which the error depends on. The solver
            must be deterministic.
        num_paths: how many paths are tried.
        seed: of the paths.

    Raises:
        UserError: a tolerance that is not positive, a stochastic solver, or "fitted" of a model that was not tuned.
    """
    if not 0 < tolerance < float("inf"):
        raise UserError(f"the tolerance must be a positive number, got {tolerance}")
    named = solver if isinstance(solver, str) or solver is None else None
    name = (named or model.card.sampling.solver) if named is solver else type(solver).__name__
    ladder = tuple(sorted(model.fitted)) if name == FITTED else LADDER

    def setting(steps: int) -> Settings:
        return settings_for(
            model,
            solver=named,
            steps=steps,
            grid=grid,
            guidance=guidance,
            guidance_kind=guidance_kind,
            force=force,
        )

    # Of a model without fitted solvers the first asked for is refused, with the command that makes one.
    tried = [solver_for(model, setting(steps)) for steps in ladder or LADDER[:1]]
    movers = [(mover if named is solver else solver, times) for mover, times in tried]
    if any(mover.draws for mover, _ in movers):  # type: ignore[union-attr]
        raise UserError("steps can be chosen for deterministic solvers only: one that draws noise ends elsewhere")
    paths = Paths(model, num_paths, subseed(seed, "auto"), setting(ladder[0]), asked)
    denoiser = paths.denoiser()
    exact = trajectories(denoiser, paths.start, num_steps=REFERENCE_STEPS).end
    found: list[tuple[float, int]] = []
    for steps, (mover, times) in zip(ladder, movers, strict=True):
        found.append((median_error(integrate(denoiser, paths.start, times, mover), exact), steps))  # type: ignore[arg-type]
        if found[-1][0] <= tolerance:
            break
    error, steps = found[-1] if found[-1][0] <= tolerance else min(found)
    before = [(fewer, e) for e, fewer in found if fewer < steps]
    return Chosen(steps, error, tolerance, before[-1] if before else None, name)


class Paths:
    """Starts and conditions of a model's paths, and its guided denoiser on any of them.

    Args:
        model: from `load`.
        count: how many.
        seed: of the starts.
        settings: for the guidance; the model's default if None.
        asked: what they are asked for; nothing in particular if None.
    """

    def __init__(
        self,
        model: Model,
        count: int,
        seed: int,
        settings: Settings | None = None,
        asked: Asked | None = None,
    ) -> None:
        self.process = model.denoiser.process
        settings = settings or settings_for(model)
        conditions = asked_for(model, asked or Asked(), settings)
        self.guided = guided(model, settings, conditions.away)
        self.cond = conditions.at(range(count))
        stream = Stream.of(seed, range(count), model.device)
        self.start = self.process.prior(self.process.draw(stream, model.shape, step=0)[0, 0])

    def denoiser(self, rows: slice | Tensor = slice(None)) -> Denoiser:
        """The guided model, with the conditions of some rows filled in."""
        return _Filled(self.process, self.guided, {name: value[rows] for name, value in self.cond.items()})


@dataclass(frozen=True)
class _Filled:
    process: Process
    inner: Denoiser
    cond: dict[str, Tensor]

    @torch.no_grad()
    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        return self.inner(x, t, **self.cond, **cond)


def median_error(end: Tensor, exact: Tensor) -> float:
    """The median over paths of the root mean square distance; (N, *) and (N, D)."""
    return (end.flatten(1) - exact).square().mean(1).sqrt().median().item()
