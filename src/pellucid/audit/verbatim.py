r"""Verbatim copies: symbols that came out as they stand in the training set.

A short text that is there may come out of a model that never saw it: what is frequent is generated again. Held-out
texts are the measure: which distinct texts are training ones and which are held out was decided by their hashes. So for
a model that does not know the training set, of the k distinct known texts that it makes, the number of training ones is
a draw without replacement,

    Hypergeometric(T + H, T, k),                                                                                    (1)

T and H the distinct texts of both sides, however frequent each of them is: frequent ones count once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import hypergeom
from torch import Tensor

from ..foundations.measured import Measured, proportion
from .copies import Copies, find_copies
from .search import Search, neighbours


@dataclass(frozen=True)
class Verbatim:
    """Whole items that came out as they stand on one side.

    Attributes:
        rate: the share of samples that are a training item.
        held_rate: the share that are a held-out item.
        distinct: how many distinct training and held-out items came out.
        known: how many distinct items both sides have.
        overlap: of runs of n symbols the share that occurs in the training set: n, of samples, of held-out items.
    """

    rate: Measured
    held_rate: Measured
    distinct: tuple[int, int]
    known: tuple[int, int]
    overlap: tuple[tuple[int, float, float], ...] = ()

    @property
    def chance(self) -> float:
        """The probability of so many training items, or more, by equation (1)."""
        train, held = self.known
        return float(hypergeom.sf(self.distinct[0] - 1, train + held, train, sum(self.distinct)))

    def sentence(self, failed: bool) -> str:
        """The finding in words."""
        hits, beside = self.distinct
        train, held = self.known
        told = f"{hits:,} of {train:,} distinct training items and {beside:,} of {held:,} held-out ones came out whole"
        expected = (hits + beside) * train / (train + held)
        if failed:
            return f"It repeats its training set: {told}, where {expected:,.0f} of the former would be no memory."
        return f"Whole: {told}; {expected:,.0f} of the former are expected of a model without memory."

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "chance": self.chance}


def verbatim(made: NDArray[Any], train: NDArray[Any], held: NDArray[Any]) -> Verbatim:
    """Whole items of both sides among samples, all rows of symbols: (N, *), (T, *), (M, *)."""
    ours, first, second = (row_keys(rows) for rows in (made, train, held))
    in_train, in_held = np.isin(ours, first), np.isin(ours, second)
    return Verbatim(
        replace(proportion("verbatim[training]", int(in_train.sum()), len(ours)), label="Training items, whole"),
        replace(proportion("verbatim[held-out]", int(in_held.sum()), len(ours)), label="Held-out items, whole"),
        (len(np.unique(ours[in_train])), len(np.unique(ours[in_held]))),
        (len(np.unique(first)), len(np.unique(second))),
    )


def row_keys(rows: NDArray[Any]) -> NDArray[Any]:
    """Each row as one comparable value, (N,)."""
    flat = rows.reshape(len(rows), -1)
    # One pattern of bits for 0 and for -0, and one for all that is missing.
    flat = np.where(np.isnan(flat), np.inf, flat) + 0.0 if flat.dtype.kind == "f" else flat.astype(np.int64)
    flat = np.ascontiguousarray(flat)
    return flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1])))[:, 0]


def at_of(rows: NDArray[Any], known: NDArray[Any]) -> NDArray[np.int64]:
    """Of those rows that are a known one: where the first such is, (at most N,)."""
    keys, first = np.unique(row_keys(known), return_index=True)
    ours = row_keys(rows)
    found: NDArray[np.int64] = first[np.searchsorted(keys, ours[np.isin(ours, keys)])]
    return found


def unknown(rows: NDArray[Any], *known: NDArray[Any]) -> NDArray[np.int64]:
    """The indices of rows that are none of the known ones."""
    return np.flatnonzero(~np.isin(row_keys(rows), row_keys(np.concatenate(known))))


def among_fresh(
    sides: tuple[Tensor, Tensor, Tensor],
    fresh: NDArray[np.int64],
    *,
    level: float,
    seed: int,
    search: Search = neighbours,
) -> Copies:
    """Copies among the samples, (N, *), that are no known item as a whole; the others are left to `verbatim`.

    A held-out item is none of the training set by the way the two were parted. So that samples are judged by what holds
    for held-out ones, those that are a known item pass here.

    Args:
        sides: samples, training and held-out items, as of `find_copies`.
        fresh: the indices of samples that are no known item.
        level, seed, search: as of `find_copies`.
    """
    made, train, held = sides
    at = torch.from_numpy(fresh)
    found = find_copies(made[at], train, held, level=level, seed=seed, search=search)

    def everywhere(values: Tensor, absent: float) -> Tensor:
        return torch.full((len(made),), absent, dtype=values.dtype).index_put((at,), values)

    return replace(
        found,
        ratios=everywhere(found.ratios, 1.0),
        p=everywhere(found.p, 1.0),
        nearest=everywhere(found.nearest, 0),
        nearest_held=everywhere(found.nearest_held, 0),
        distance=everywhere(found.distance, 1.0),
        distance_held=everywhere(found.distance_held, 1.0),
        flagged=at[found.flagged],
    )
