"""The audit of a model of symbols: what came out verbatim, the longest runs, and membership by its bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.arrays import Dataset
from ..metrics.runs import longest_runs, shared_runs
from ..tokens.generate import sample_tokens
from ..tokens.model import TokenModel
from .copies import Copies, find_copies
from .duplicates import grouped
from .result import Audit
from .search import Found
from .shadows import Shadow
from .verbatim import at_of, row_keys, verbatim
from .whole import apart, canaries_of, level_for, membership_curves

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
    fresh = np.flatnonzero(~np.isin(row_keys(ours), row_keys(np.concatenate([first, second]))))
    if np.median(lengths) >= _LONG and len(fresh) >= _FEWEST:
        notes += told
        copies[RUNS] = _runs(ours, fresh, first, second, level=level, seed=seed)
        known, few = second[: len(ours)], [n for n in _LENGTHS if n <= int(lengths.max())]
        overlap = tuple((n, shared_runs(ours, first, n), shared_runs(known, first, n)) for n in few)
        whole = replace(whole, overlap=overlap)
    curves = membership_curves(model, train, held, statistics, shadows, items=items, seed=seed, progress=progress)
    duplicates = grouped(np.unique(row_keys(first), return_inverse=True)[1], 0.0)
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


def _runs(
    ours: NDArray[Any], fresh: NDArray[np.int64], first: NDArray[Any], second: NDArray[Any], *, level: float, seed: int
) -> Copies:
    """Copies by the longest run in common, among samples that are no known text as a whole.

    A held-out text is none of the training set by the way the two were parted; so that samples are judged by what holds
    for held-out texts, those that are a known text are left to `verbatim`, and pass here.
    """
    sides = (torch.from_numpy(np.asarray(rows, np.int64)) for rows in (ours[fresh], first, second))
    found = find_copies(*sides, level=level, seed=seed, search=_by_runs)
    at = torch.from_numpy(fresh)

    def everywhere(values: Tensor, absent: float) -> Tensor:
        return torch.full((len(ours),), absent, dtype=values.dtype).index_put((at,), values)

    return replace(
        found,
        ratios=everywhere(found.ratios, torch.inf),
        p=everywhere(found.p, 1.0),
        nearest=everywhere(found.nearest, 0),
        nearest_held=everywhere(found.nearest_held, 0),
        distance=everywhere(found.distance, 1.0),
        distance_held=everywhere(found.distance_held, 1.0),
        flagged=at[found.flagged],
    )


def _by_runs(x: Tensor, y: Tensor, k: int) -> Found:
    """Neighbours by the longest run n in common: the first at 1/(1 + n); only it is told, the others are at 1."""
    runs, at = longest_runs(x.numpy(), y.numpy())
    distances, indices = torch.ones(len(x), k, dtype=torch.float64), torch.zeros(len(x), k, dtype=torch.int64)
    distances[:, 0], indices[:, 0] = 1 / (1 + torch.from_numpy(runs).double()), torch.from_numpy(at)
    return Found(distances, indices)
