"""Sampling a trained model of symbols: conditions, guidance, what is known already, and batches around the one loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..asked import Asked, Labels, Texts, conditions_for
from ..denoisers import Denoiser
from ..foundations.errors import UserError, unknown
from ..foundations.rng import Stream
from ..generate import batch_for
from ..guidance.logits import GuidedLogits
from ..processes.symbols import symbols
from ..restorers.infill import Infill
from ..sampling import Settings
from ..solvers import TOKEN_SOLVERS
from ..solvers.base import sample as integrate
from .model import TokenModel

GRID = "even"  # each step restores the same share of symbols
HOLE, OPEN_END = "_", "..."


def token_settings(
    model: TokenModel,
    *,
    solver: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
) -> Settings:
    """The settings of a sampling run, with the model's defaults filled in; its grid is `GRID`.

    Raises:
        UserError: an unknown solver, steps below 1, or guidance of an unconditional model.
    """
    default = model.card.sampling
    chosen = Settings(
        solver=solver or default.solver,
        steps=default.steps if steps is None else steps,
        grid=GRID,
        guidance=default.guidance if guidance is None else guidance,
        guidance_interval=None,
        seed=seed,
    )
    if chosen.solver not in TOKEN_SOLVERS:
        raise unknown("solver", chosen.solver, TOKEN_SOLVERS)
    if chosen.steps < 1:
        raise UserError(f"a sampler needs at least 1 step, got {chosen.steps}")
    if guidance not in (None, 1.0) and not model.card.schema:
        raise UserError("this model was trained without labels, so there is nothing to guide: leave guidance out")
    return chosen


def template(model: TokenModel, text: str) -> Tensor:
    """What is known of a text with holes, int64 (L,), the mask where nothing is: for `sample_tokens`.

    Each "_" stands for one symbol that is not known: a character, a byte or a piece. Three dots at the end say that the
    text may go on from there; else it ends where the template does.

    Raises:
        UserError: a model without a mask or of no texts, a text without a hole, or one that is too long.
    """
    mask = model.denoiser.process.mask
    if mask is None:
        raise UserError("filling in needs a model whose noise is a mask: train one with process.kind=absorbing")
    closed = text.removesuffix(OPEN_END)
    parts = [model.codec.numbers(part) for part in closed.split(HOLE)]
    numbers = parts[0] + [number for part in parts[1:] for number in (mask, *part)]
    length = model.shape[0]
    if len(numbers) > length:
        raise UserError(f"{text!r} has {len(numbers)} {model.codec.sort}, and the model's texts at most {length}")
    if len(parts) == 1 and text == closed:
        raise UserError(f"{text!r} has no hole: write {HOLE} for each unknown symbol, {OPEN_END} for an open end")
    rest = mask if text != closed else 0
    return torch.tensor(numbers + [rest] * (length - len(numbers)))


def sample_tokens(
    model: TokenModel,
    num: int,
    *,
    label: Labels = None,
    text: Texts = None,
    where: Mapping[str, Any] | None = None,
    solver: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    known: Tensor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Draws samples, symbols int64 (num, *shape); `model.texts` or `model.decode` give what they stand for.

    Sample i is a function of the weights, the settings, the seed and i alone.

    Args:
        model: from `load_tokens`.
        num: how many.
        label: a class, or several in turn; "none" for no class. All in turn where nothing at all is asked for.
        text: a text, or several in turn, for the model's one column of texts.
        where: value, or several in turn, of any condition by its name.
        solver: a name among `TOKEN_SOLVERS`.
        steps: steps of the time grid, each of which restores the same share of symbols.
        guidance: scale w of `GuidedLogits`; 1 is the plain conditional model.
        seed: any integer.
        first: the number of the first sample.
        batch_size: how many are made together; chosen by the item's size if absent.
        known: what all samples have, int64 (*shape), as of `template`; the mask where it is open.
        progress: called after each step with network batches done and in all.

    Raises:
        UserError: names or numbers that the model cannot serve.
    """
    if num < 1 or first < 0 or (batch_size is not None and batch_size < 1):
        raise UserError(
            f"ask for at least 1 sample, numbered from 0, in batches of at least 1: got num={num}, first={first}, "
            f"batch_size={batch_size}"
        )
    settings = token_settings(model, solver=solver, steps=steps, guidance=guidance, seed=seed)
    conditions = conditions_for(model, Asked(label, text, where or {}))
    denoiser: Denoiser = model.denoiser
    if settings.guidance != 1 and conditions.away:
        denoiser = GuidedLogits(denoiser, settings.guidance, conditions.away)
    process = symbols(model.denoiser.process, "sampling of symbols")
    times = process.grid(settings.steps)
    size = batch_size or batch_for(model.shape)
    batches = [range(start, min(start + size, first + num)) for start in range(first, first + num, size)]
    done = 0
    made = []
    for ids in batches:

        def follow(i: int, t: Tensor, s: Tensor, x: Tensor) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, len(batches) * settings.steps)

        stream = Stream.of(seed, ids, device=model.device)
        x = process.prior(process.draw(stream, model.shape, step=0)[0, 0])
        told = denoiser if known is None else Infill(denoiser, known.to(x).expand(len(ids), *model.shape))
        mover = TOKEN_SOLVERS[settings.solver]()
        made.append(integrate(told, x, times, mover, stream=stream, callback=follow, **conditions.at(ids)))
    return torch.cat(made)
