"""The audit of a model of a table: rows that came out whole, rows that lie beside a training row, and membership."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Dataset
from ..metrics.table_rows import points
from ..tables.generate import sample_rows
from ..tables.model import TableModel
from .copies import Copies
from .duplicates import grouped
from .result import Audit
from .shadows import Shadow
from .verbatim import among_fresh, at_of, row_keys, unknown, verbatim
from .whole import apart, canaries_of, level_for, membership_curves, ordinary

ROWS = "rows"
_FEWEST = 50  # samples that are no known row, for a judgement on their distances


def audit_rows(
    model: TableModel,
    train: Dataset,
    held: Dataset,
    *,
    num: int = 1000,
    made: Tensor | None = None,
    items: int = 500,
    statistics: Sequence[str] | None = None,
    shadows: Sequence[Shadow] = (),
    level: float | None = None,
    allow_overlap: bool = False,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Audit:
    """Audits a model of a table; arguments, result and errors are those of `whole.audit`.

    Rows that equal a training row, cell for cell, are judged beside those that equal a held-out one; all others by
    their distances to training rows in the mixed scale of `metrics.table_rows`, beside those of held-out rows.
    """
    follow = progress or (lambda what, done, total: None)
    held, notes = apart(model, train, held, allow_overlap)
    level, told = level_for(level, len(held))
    codec = model.codec
    if made is None:
        made = sample_rows(model, num, seed=seed, progress=lambda i, n: follow("sampling", i, n)).cpu()
    packed = (codec.decode(made), *(np.asarray(data.items[np.arange(len(data))]) for data in (train, held)))
    ours, first, second = (codec.unpack(rows) for rows in packed)
    follow("comparing", 0, 1)
    copies: dict[str, Copies] = {}
    fresh = unknown(ours, first, second)
    duplicates = grouped(np.unique(row_keys(first), return_inverse=True)[1], 0.0)
    if len(fresh) >= _FEWEST:
        notes += told
        kept = torch.from_numpy(duplicates.kept)
        one, two, three = (
            torch.from_numpy(points(cells, codec.fields)).float() for cells in (ours, first[kept.numpy()], second)
        )
        copies[ROWS] = among_fresh((one, two, three), fresh, level=level, seed=seed)
        copies[ROWS] = copies[ROWS].among(kept)
    return Audit(
        len(train),
        len(held),
        len(ours),
        copies,
        verbatim(ours, first, second),
        (),
        duplicates,
        membership_curves(
            model,
            ordinary(model, train, duplicates.kept),
            held,
            statistics,
            shadows,
            items=items,
            seed=seed,
            progress=progress,
        ),
        canaries_of(model, train, held, torch.from_numpy(at_of(ours, first)), items=items, seed=seed),
        tuple(notes),
        model.weights_hash,
    )
