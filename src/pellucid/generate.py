"""Sampling a trained model: conditions, guidance and batches around the one loop over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from .asked import Asked, Labels, Texts
from .auto import TOLERANCE, auto_steps
from .data.arrays import Dataset
from .data.codecs import Codec, SeriesCodec
from .data.inspect import contact_sheet
from .data.ragged import drawn_lengths, presence_of
from .foundations.errors import UserError
from .foundations.rng import Stream
from .model import Model
from .nn.spec import PRESENCE
from .processes.checks import check_prior
from .sampling import asked_for, guided, settings_for, solver_for
from .solvers import Solver
from .solvers.base import Callback
from .solvers.base import sample as integrate
from .tokens.model import TokenModel


def sample(
    model: Model,
    num: int,
    *,
    label: Labels = None,
    text: Texts = None,
    where: Mapping[str, Any] | None = None,
    negative: Mapping[str, Any] | None = None,
    guidance: float | None = None,
    guidance_kind: str | None = None,
    solver: str | Solver | None = None,
    steps: int | Literal["auto"] | None = None,
    tolerance: float = TOLERANCE,
    grid: str | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    length: int | None = None,
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
        label: a class, or several that are taken in turn; "none" for no class. All classes in turn where nothing at all
            is asked for.
        text: a text, or several in turn, for the model's one column of texts.
        where: value, or several in turn, of any condition by its name: {"age": 3.5}.
        negative: what guidance moves away from, by the condition's name: {"text": "blue"}; "none" of each if absent.
        guidance: scale w of u + w (c - u); 1 is the plain conditional model.
        guidance_kind: what becomes of that difference, a name among `guidance.PAIRS`: classifier-free, rescaled or
            projected.
        solver: a name among `SOLVERS`, "fitted" for one that `tune` made for this model, or a solver.
        steps: steps of the time grid; "auto" for the fewest that end within the tolerance (`auto.auto_steps`).
        tolerance: of "auto": distance from the accurate end, in the model's scale.
        grid: a name among `GRIDS`.
        seed: any integer.
        first: the number of the first sample.
        batch_size: how many are made together; chosen by the item's size if absent.
        length: steps of each series, of a model of series with lengths of their own; if absent, drawn for each from the
            lengths of the training series, of its class where it has one. Behind its end a sample is NaN.
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
    asked = Asked(label, text, where or {}, negative or {})
    if steps == "auto":
        steps = auto_steps(
            model,
            tolerance=tolerance,
            asked=asked,
            guidance=guidance,
            guidance_kind=guidance_kind,
            solver=solver,
            grid=grid,
            force=force,
        ).steps
    named = solver if isinstance(solver, str) or solver is None else None
    settings = settings_for(
        model,
        solver=named,
        steps=steps,
        grid=grid,
        guidance=guidance,
        guidance_kind=guidance_kind,
        seed=seed,
        force=force,
    )
    mover, times = solver_for(model, settings)
    if solver is not None and not isinstance(solver, str):
        mover = solver
    conditions = asked_for(model, asked, settings, guidance=guidance)
    denoiser = guided(model, settings, conditions.away)
    process = model.denoiser.process
    check_prior(process, (model.card.process.sigma_data or 1.0) ** 2, force=force)
    codec = model.card.codec
    _length_checked(codec, length)
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
        x = process.prior(process.draw(stream, model.shape, step=0)[0, 0])
        cond = conditions.at(ids)
        if not isinstance(codec, SeriesCodec):
            parts.append(integrate(denoiser, x, times, mover, stream=stream, callback=follow, **cond))
            continue
        wanted = cond.get("label")
        ends = drawn_lengths(codec, ids, seed, wanted) if length is None else torch.full((len(ids),), length)
        there = presence_of(ends.to(model.device), model.shape)
        made = integrate(denoiser, x, times, mover, stream=stream, callback=follow, **cond, **{PRESENCE: there})
        parts.append(made.masked_fill(there == 0, math.nan))
    return torch.cat(parts)


def _length_checked(codec: Codec, length: int | None) -> None:
    """Refuses a length that the model cannot make."""
    if length is None:
        return
    if not isinstance(codec, SeriesCodec):
        raise UserError(
            "a length is for models of series that have lengths of their own; this one makes items of the shape "
            f"{codec.items.shape}: leave it out"
        )
    if not 1 <= length <= codec.length:
        raise UserError(f"the model knows series of 1 to {codec.length} steps, got a length of {length}")


def gallery(
    model: Model | TokenModel, samples: Tensor, labels: Tensor | None, captions: Sequence[str] | None = None
) -> Image.Image:
    """Samples at one look: each over its caption where there are captions; else a row for each label where there are
    labels; a plot where they are no pictures.

    Args:
        samples: (B, *), in the model's scale.
        labels: (B,), or None.
        captions: B of them, or None.
    """
    names = (*model.card.label_names, "none")
    dataset = Dataset(
        items=model.decode(samples),
        labels=None if labels is None else labels.cpu().numpy(),
        label_names=() if labels is None else names,
        codec=model.card.codec.items,
        name="samples",
    )
    return contact_sheet(dataset, len(samples), captions=captions)


def batches_for(model: Model, num: int, *, first: int = 0, batch_size: int | None = None) -> list[range]:
    """The sample numbers that are made together."""
    size = batch_size or default_batch(model)
    return [range(start, min(start + size, first + num)) for start in range(first, first + num, size)]


def default_batch(model: Model) -> int:
    """How many samples are made together: enough to fill the machine, few enough for its caches."""
    return batch_for(model.shape)


def batch_for(shape: Sequence[int]) -> int:
    """`default_batch` for items of a shape."""
    return max(1, min(256, (1 << 18) // math.prod(shape)))
