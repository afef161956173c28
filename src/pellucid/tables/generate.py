"""Sampling a trained model of a table: what is known of the rows, and batches around the one loop over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError, unknown
from ..foundations.rng import Stream
from ..generate import batch_for
from ..mixed.known import Known
from ..processes.gaussian import Gaussian
from ..processes.times import GRIDS
from ..sampling import Settings
from ..solvers import SOLVERS, Ancestral, ProductSolver
from ..solvers.base import sample as integrate
from .known import KnownCells, asked_cells
from .model import TableModel


def table_settings(
    model: TableModel, *, solver: str | None = None, steps: int | None = None, grid: str | None = None, seed: int = 0
) -> Settings:
    """The settings of a sampling run, with the model's defaults filled in; `solver` is that of the numbers.

    Raises:
        UserError: an unknown solver or grid, one with more than one call of the denoiser a step, or steps below 1.
    """
    default = model.card.sampling
    chosen = Settings(
        solver=solver or default.solver,
        steps=default.steps if steps is None else steps,
        grid=grid or default.grid,
        guidance=1.0,
        guidance_interval=None,
        seed=seed,
    )
    if chosen.solver not in SOLVERS:
        raise unknown("solver", chosen.solver, SOLVERS)
    GRIDS[chosen.grid]
    if chosen.steps < 1:
        raise UserError(f"a sampler needs at least 1 step, got {chosen.steps}")
    ProductSolver((SOLVERS[chosen.solver](), Ancestral()))
    return chosen


def sample_rows(
    model: TableModel,
    num: int,
    *,
    where: Mapping[str, Sequence[str] | str] | None = None,
    known: KnownCells | None = None,
    solver: str | None = None,
    steps: int | None = None,
    grid: str | None = None,
    seed: int = 0,
    first: int = 0,
    numbers: Sequence[int] | None = None,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Draws rows, packed, (num, P) float32; `model.rows` gives their cells.

    Row i is a function of the weights, the settings, the seed, what is known of it, and i alone.

    Args:
        model: from `load_table`.
        num: how many.
        where: column to the cell that is known of it, or several that rows take in turn: rows are then drawn from the
            conditional law, and say exactly that.
        known: cells that are known of each row, num of them, in place of `where`.
        solver: of the numbers, a name among `SOLVERS` with one call a step; categories go by ancestral sampling.
        steps: steps of the time grid.
        grid: a name among `GRIDS`.
        seed: any integer.
        first: the number of the first row.
        numbers: of all rows, where they do not follow one another.
        batch_size: how many are made together; chosen by the row's size if absent.
        progress: called after each step with network batches done and in all.

    Raises:
        UserError: names, cells or numbers that the model cannot serve.
    """
    if num < 1 or first < 0 or (batch_size is not None and batch_size < 1):
        raise UserError(
            f"ask for at least 1 row, numbered from 0, in batches of at least 1: got num={num}, first={first}, "
            f"batch_size={batch_size}"
        )
    settings = table_settings(model, solver=solver, steps=steps, grid=grid, seed=seed)
    ids = range(first, first + num)
    if where:
        known = asked_cells(model.codec, where, ids)
    names = list(ids) if numbers is None else list(numbers)
    process, layout = model.denoiser.process, model.layout
    gaussian = process.fields[0].process
    assert isinstance(gaussian, Gaussian)
    times = GRIDS[settings.grid](gaussian.schedule, settings.steps)
    size = batch_size or batch_for(model.shape)
    starts = range(0, num, size)
    done = 0
    made = []
    for start in starts:

        def follow(i: int, t: Tensor, s: Tensor, x: Tensor) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, len(starts) * settings.steps)

        stream = Stream.of(seed, names[start : start + size], device=model.device)
        x = process.prior(process.draw(stream, (process.columns,), step=0)[0, 0])
        denoiser: Denoiser = model.denoiser
        values = given = None
        if known is not None:
            states = known.states(layout, slice(start, start + size))
            values, given = (state.to(model.device) for state in states)
            denoiser = Known(denoiser, values, given)
        mover = ProductSolver((SOLVERS[settings.solver](), Ancestral()))
        x = integrate(denoiser, x, times, mover, stream=stream, callback=follow)
        if values is not None and given is not None:
            x = torch.where(given, values, x)  # to the last digit
        made.append(layout.packed(x))
    return torch.cat(made)
