r"""How probable a model of a table thinks rows are: the bits that it takes to write down a row's cells.

A cell of a number stands for its span of levels (see `data.table_schema`): with the score z drawn from it,
q(z) = phi(z)/width, and with the model's density p(z, k) of scores and categories,

    -log P(cells) <= E_q[bound on -log p(z, k)] + E_q[sum over numbers of log phi(z_i) - log width_i],             (1)

the probability of all the row's cells together, to the digits that their columns have, a missing cell being one of the
things that a cell can say. (A missing number has the width 1: its score is free, which (1) takes off again.) Columns
that were left out or are constant cost nothing. Were columns independent and their laws those of the file, the first
term would be -sum log phi(z_i) and numbers would cost -sum log width_i: what a model saves on that is what it knows of
how columns hang together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch

from ..data.arrays import Dataset
from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from ..generate import batch_for
from ..likelihood.rows import row_bound
from ..score import Score
from .model import TableModel

UNIT = "bits/row"
_EDGE = 1e-12  # of levels: normal scores stay finite


def table_scores(
    model: TableModel,
    data: Dataset,
    *,
    evaluations: int = 64,
    seed: int = 0,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """The bound (1) of rows, in bits for each.

    Args:
        model: from `load_table`.
        data: rows that the model should not have seen, in its own columns (`data.tables.open_rows`).
        evaluations: times drawn for each row.
        seed: of times, noise and places in spans.
        batch_size: rows worked on together.
        progress: called with batches done and in all.

    Raises:
        UserError: no rows, or rows of other columns.
    """
    if not len(data):
        raise UserError("there are no rows to judge")
    if data.codec != model.codec:
        raise UserError(
            f"the rows of {data.name!r} are read by other columns than the model's: give the csv file itself"
        )
    started = time.perf_counter()
    packed = np.asarray(data.items[np.arange(len(data))])
    low, high = (torch.from_numpy(bound) for bound in model.codec.spans(packed))
    size = batch_size or batch_for(model.shape)
    nats, errors = [], []
    starts = range(0, len(data), size)
    for done, start in enumerate(starts):
        rows = slice(start, start + size)
        ids = torch.arange(start, start + len(packed[rows]))
        u = Stream(subseed(seed, "spans"), ids).fine_uniform((low.shape[1],), step=0)[0, 0]
        width = high[rows] - low[rows]
        z = torch.special.ndtri((low[rows] + u * width).clamp(_EDGE, 1 - _EDGE))
        state = torch.from_numpy(packed[rows]).double()
        state[:, : low.shape[1]] = z
        x0 = model.layout.state(state).to(model.device)
        if not z.shape[1]:  # a number that fills a place
            z = Stream(subseed(seed, "idle"), ids).normal((1,), step=0)[0, 0].double()
            x0[:, :1], width = z, torch.ones_like(z)
        bound = row_bound(model.denoiser, x0, evaluations=evaluations, seed=seed, ids=ids)
        own = (-0.5 * (z.square() + math.log(2 * math.pi)) - width.log()).sum(1)
        nats.append(bound.value.cpu() + own)
        errors.append(bound.standard_error.cpu())
        if progress is not None:
            progress(done + 1, len(starts))
    each, spread, log2 = torch.cat(nats), torch.cat(errors), math.log(2)
    return [
        Score(
            method="variational bound",
            bits_per_dim=each.mean().item() / log2,
            over_items=each.std().item() / math.sqrt(len(each)) / log2 if len(each) > 1 else math.nan,
            of_estimator=spread.square().sum().sqrt().item() / len(each) / log2,
            nats=each.mean().item(),
            items=len(each),
            evaluations=bound.evaluations,
            products=0,
            seconds=time.perf_counter() - started,
            unit=UNIT,
            each=each,
        )
    ]
