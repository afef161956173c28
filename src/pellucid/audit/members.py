"""The scores by which members are told: of items of a data set, with what each of them is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..asked import encoded
from ..data.arrays import Dataset
from ..foundations.rng import Stream, subseed
from ..latents.codec import as_trained
from ..likelihood import token_nelbo
from ..metrics.base import order
from ..model import Model
from ..score import Score
from ..tables.model import TableModel
from ..tables.score import table_scores
from ..tokens.model import TokenModel
from .membership import STATISTICS, membership_scores

LOSS = "loss"
_TIMES = 16  # of each item of symbols
_ROWS = 128

Progress = Callable[[int, int], None]


Audited = Model | TokenModel | TableModel


def some(data: Dataset, num: int, seed: int) -> Dataset:
    """At most so many items, at random."""
    return data.subset(np.sort(order(len(data), subseed(seed, "items"), data.name)[:num].numpy()))


def statistics_of(model: Audited) -> tuple[str, ...]:
    """The names of the statistics that a kind of model has."""
    return tuple(STATISTICS) if isinstance(model, Model) else (LOSS,)


def scored(model: Audited, data: Dataset, statistic: str = LOSS, *, progress: Progress | None = None) -> Tensor:
    """A statistic of each item, asked for as it was learned: (N,), float64, higher for members.

    Args:
        model: of numbers, of symbols or of rows.
        data: items in the codec of the model's own.
        statistic: a name among `statistics_of`.
        progress: called with items done and in all.
    """
    parts = []
    for start in range(0, len(data), _ROWS):
        part = data.subset(np.arange(start, min(start + _ROWS, len(data))))
        if isinstance(model, TableModel):
            parts.append(-_each(table_scores(model, part, evaluations=_TIMES)[0]))
        elif isinstance(model, TokenModel):
            parts.append(_of_symbols(model, part))
        else:
            parts.append(_of_numbers(model, part, statistic))
        if progress is not None:
            progress(min(start + _ROWS, len(data)), len(data))
    return torch.cat(parts)


def _each(score: Score) -> Tensor:
    assert score.each is not None
    return score.each.double()


def _of_numbers(model: Model, data: Dataset, statistic: str) -> Tensor:
    # One draw of latents for all items, so that what differs between them is the items.
    stream = Stream.of(subseed(0, "membership/latents"), [0] * len(data), model.device)
    x = as_trained(model.card.codec, np.asarray(data.items[np.arange(len(data))]), stream).to(model.device)
    spread = model.card.process.sigma_data or 1.0
    cond = _conditions(model, data)
    return membership_scores(model.denoiser, x, statistic=statistic, sigma_data=spread, cond=cond)


@torch.no_grad()
def _of_symbols(model: TokenModel, data: Dataset) -> Tensor:
    x = model.card.codec.encode(np.asarray(data.items[np.arange(len(data))])).to(model.device)
    ids = torch.zeros(len(x), dtype=torch.int64)  # the same times and noise for all
    bound = token_nelbo(model.denoiser, x, evaluations=_TIMES, seed=0, ids=ids, **_conditions(model, data))
    return -bound.value.double().cpu() / x[0].numel()


def _conditions(model: Model | TokenModel, data: Dataset) -> dict[str, Any]:
    """What each item is, as far as the model was told."""
    known = {part.name for part in model.card.schema}
    found = data.conditions(np.arange(len(data)))
    return encoded(model, {name: value for name, value in found.items() if name in known})
