"""The audit of a model of symbols: what came out verbatim, the longest runs, and membership by its bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Dataset
from ..metrics.runs import longest_runs, shared_runs
from ..tokens.generate import sample_tokens
from ..tokens.model import TokenModel
from .copies import Copies
from .duplicates import grouped
from .result import Audit
from .search import Found
from .shadows import Shadow
from .verbatim import among_fresh, at_of, row_keys, unknown, verbatim
from .whole import apart, canaries_of, level_for, membership_curves, ordinary

RUNS = "longest run"
_LONG = 12  # symbols of a held-out text, by the median, from which on runs say more than whole texts
_LENGTHS = (3, 5, 8, 13, 21, 34, 55, 89)
_FEWEST = 50  # samples that are no known text, for a judgement on their runs


def audit_symbols(
    model: TokenModel,
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
    """Audits a model of symbols; arguments, result and errors are those of `whole.audit`."""
    follow = progress or (lambda what, done, total: None)
    held, notes = apart(model, train, held, allow_overlap)
    level, told = level_for(level, len(held))
    if made is None:
        made = sample_tokens(model, num, seed=seed, progress=lambda i, n: follow("sampling", i, n)).cpu()
    ours, first, second = made.numpy(), *(np.asarray(data.items[np.arange(len(data))]) for data in (train, held))
    follow("comparing", 0, 1)
    whole = verbatim(ours, first, second)
    copies: dict[str, Copies] = {}
    lengths = (second != 0).sum(1)
    fresh = unknown(ours, first, second)
    if np.median(lengths) >= _LONG and len(fresh) >= _FEWEST:
        notes += told
        one, two, three = (torch.from_numpy(np.asarray(rows, np.int64)) for rows in (ours, first, second))
        copies[RUNS] = among_fresh((one, two, three), fresh, level=level, seed=seed, search=_by_runs)
        known, few = second[: len(ours)], [n for n in _LENGTHS if n <= int(lengths.max())]
        overlap = tuple((n, shared_runs(ours, first, n), shared_runs(known, first, n)) for n in few)
        whole = replace(whole, overlap=overlap)
    duplicates = grouped(np.unique(row_keys(first), return_inverse=True)[1], 0.0)
    curves = membership_curves(
        model,
        ordinary(model, train, duplicates.kept),
        held,
        statistics,
        shadows,
        items=items,
        seed=seed,
        progress=progress,
    )
    whole_ones = at_of(ours, first)
    canaries = canaries_of(model, train, held, torch.from_numpy(whole_ones), items=items, seed=seed)
    return Audit(
        len(train),
        len(held),
        len(made),
        copies,
        whole,
        (),
        duplicates,
        curves,
        canaries,
        tuple(notes),
        model.weights_hash,
    )


def _by_runs(x: Tensor, y: Tensor, k: int) -> Found:
    """Neighbours by the longest run n in common: the first at 1/(1 + n); only it is told, the others are at 1."""
    runs, at = longest_runs(x.numpy(), y.numpy())
    distances, indices = torch.ones(len(x), k, dtype=torch.float64), torch.zeros(len(x), k, dtype=torch.int64)
    distances[:, 0], indices[:, 0] = 1 / (1 + torch.from_numpy(runs).double()), torch.from_numpy(at)
    return Found(distances, indices)
