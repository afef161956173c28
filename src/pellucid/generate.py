"""Sampling a trained model: labels, guidance and batches around the one loop over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from .data.arrays import Dataset
from .data.inspect import contact_sheet
from .denoisers import Denoiser
from .foundations.errors import UserError, unknown
from .foundations.rng import Stream
from .guidance import Guided
from .model import Model
from .processes.checks import check_prior
from .processes.times import GRIDS
from .solvers import DDPM, SOLVERS, Solver
from .solvers.base import Callback
from .solvers.base import sample as integrate

FITTED = "fitted"  # the name under which a model's own solvers go


@dataclass(frozen=True)
class Settings:
    """Everything that a sample depends on, beside the weights; what is absent is the model's default."""

    solver: str
    steps: int
    grid: str
    guidance: float
    guidance_interval: tuple[float, float] | None
    seed: int
    force: bool = False


def settings_for(
    model: Model,
    *,
    solver: str | None = None,
    steps: int | None = None,
    grid: str | None = None,
    guidance: float | None = None,
    seed: int = 0,
    force: bool = False,
) -> Settings:
    """The settings of a sampling run, with the model's defaults filled in.

    Raises:
        UserError: an unknown solver or grid, steps below 1, or guidance of an unconditional model.
    """
    default = model.card.sampling
    chosen = Settings(
        solver=solver or default.solver,
        steps=default.steps if steps is None else steps,
        grid=grid or default.grid,
        guidance=default.guidance if guidance is None else guidance,
        guidance_interval=default.guidance_interval,
        seed=seed,
        force=force,
    )
    if chosen.steps < 1:
        raise UserError(f"a sampler needs at least 1 step, got {chosen.steps}")
    solver_for(model, chosen)
    if guidance not in (None, 1.0) and not model.card.label_names:
        raise UserError("this model was trained without labels, so there is nothing to guide: leave guidance out")
    return chosen


def solver_for(model: Model, settings: Settings) -> tuple[Solver, Tensor]:
    """The solver and the time grid that settings name; "ddpm" with the model's own variance where it learned one.

    Raises:
        UserError: an unknown name, or a fitted solver for a number of steps that the model was not tuned for.
    """
    if settings.solver == FITTED:
        if settings.steps not in model.fitted:
            known = ", ".join(map(str, sorted(model.fitted))) or "none"
            raise UserError(
                f"no fitted solver of {settings.steps} steps; there are: {known}. Fit one: "
                f"pellucid tune {model.origin} --steps {settings.steps}"
            )
        fitted = model.fitted[settings.steps]
        return fitted, fitted.grid
    if settings.solver not in SOLVERS:
        raise unknown("solver", settings.solver, [*SOLVERS, FITTED])
    solver: Solver = SOLVERS[settings.solver]()
    plain = settings.guidance == 1 or not model.card.label_names  # a guided estimate has no variance of its own
    if isinstance(solver, DDPM) and model.denoiser.learned_variance and plain:
        solver = DDPM(variance=None)
    return solver, GRIDS[settings.grid](model.denoiser.process.schedule, settings.steps)


def labels_for(model: Model, ids: Sequence[int], label: Sequence[str | int] | str | int | None) -> Tensor | None:
    """The label of each sample id: the given ones in turn, or all classes in turn; None for an unconditional model."""
    if label is None and not model.card.label_names:
        return None
    choices = list(range(len(model.card.label_names))) if label is None else model.label_ids(label)
    return torch.tensor([choices[i % len(choices)] for i in ids], device=model.device)


def guided(model: Model, settings: Settings) -> Denoiser:
    """The model's denoiser under the settings' guidance."""
    if settings.guidance == 1 or not model.card.label_names:
        return model.denoiser
    low, high = settings.guidance_interval or (0.0, float("inf"))
    negative = {"label": torch.tensor(model.null_label, device=model.device)}
    return Guided(model.denoiser, settings.guidance, negative, low, high)


def sample(
    model: Model,
    num: int,
    *,
    label: Sequence[str | int] | str | int | None = None,
    guidance: float | None = None,
    solver: str | Solver | None = None,
    steps: int | None = None,
    grid: str | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Draws samples, shape (num, *), in the model's scale (pictures in [-1, 1]; `model.decode` gives pixels).

    Sample i is a function of the weights, the settings, the seed and i alone, not of the batch it was made in: its
    noise bit for bit, and the rest to the round-off of matrix products, whose order of summation depends on the batch.

    Args:
        model: from `load`.
        num: how many.
        label: a class, or several that are taken in turn; all classes in turn if absent; "none" for no class.
        guidance: classifier-free scale w of u + w (c - u); 1 is the plain conditional model.
        solver: a name among `SOLVERS`, "fitted" for one that `tune` made for this model, or a solver.
        steps: steps of the time grid.
        grid: a name among `GRIDS`.
        seed: any integer.
        first: the number of the first sample.
        batch_size: how many are made together; chosen by the item's size if absent.
        force: go on where the chain does not end at its prior, from which samples start; they are biased then.
        progress: called after each step with network batches done and in all.
        callback: passed to the loop over time, for each batch.

    Raises:
        UserError: names or numbers that the model cannot serve; without `force`, a chain that ends off its prior.
    """
    if num < 1:
        raise UserError(f"ask for at least 1 sample, got {num}")
    if batch_size is not None and batch_size < 1:
        raise UserError(f"the batch size must be at least 1, got {batch_size}")
    if first < 0:
        raise UserError(f"samples are numbered from 0, and the first cannot be {first}")
    named = solver if isinstance(solver, str) or solver is None else None
    settings = settings_for(model, solver=named, steps=steps, grid=grid, guidance=guidance, seed=seed, force=force)
    mover, times = solver_for(model, settings)
    if solver is not None and not isinstance(solver, str):
        mover = solver
    denoiser = guided(model, settings)
    process = model.denoiser.process
    check_prior(process, (model.card.process.sigma_data or 1.0) ** 2, force=force)
    batches = batches_for(model, num, first=first, batch_size=batch_size)
    done, total = 0, len(batches) * settings.steps
    parts = []
    for ids in batches:

        def follow(i: int, t: Tensor, s: Tensor, x: Tensor) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, total)
            if callback is not None:
                callback(i, t, s, x)

        stream = Stream.of(seed, ids, device=model.device)
        labels = labels_for(model, ids, label)
        cond = {} if labels is None else {"label": labels}
        x = process.prior(process.draw(stream, model.shape, step=0)[0, 0])
        parts.append(integrate(denoiser, x, times, mover, stream=stream, callback=follow, **cond))
    return torch.cat(parts)


def gallery(model: Model, samples: Tensor, labels: Tensor | None) -> Image.Image:
    """Samples at one look: a row for each label where there are labels; a plot where they are no pictures.

    Args:
        samples: (B, *), in the model's scale.
        labels: (B,), or None.
    """
    names = (*model.card.label_names, "none")
    dataset = Dataset(
        items=model.decode(samples),
        labels=None if labels is None else labels.cpu().numpy(),
        label_names=() if labels is None else names,
        codec=model.card.codec,
        name="samples",
    )
    return contact_sheet(dataset, len(samples))


def batches_for(model: Model, num: int, *, first: int = 0, batch_size: int | None = None) -> list[range]:
    """The sample numbers that are made together."""
    size = batch_size or default_batch(model)
    return [range(start, min(start + size, first + num)) for start in range(first, first + num, size)]


def default_batch(model: Model) -> int:
    """How many samples are made together: enough to fill the machine, few enough for its caches."""
    values = 1
    for side in model.shape:
        values *= side
    return max(1, min(256, (1 << 18) // values))
