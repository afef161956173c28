r"""The longest runs that rows of symbols have in common with other rows.

All rows are put in a line, each closed by a symbol of its own, and every place gets the rank of the 2^k symbols from
there on, for k = 0, 1, ...: the rank at k + 1 is that of the pair of ranks at k, 2^k places apart (Manber and Myers,
"Suffix Arrays: A New Method for On-Line String Searches", 1993). In the order of the last ranks, the known place that
has most in common with any other is its neighbour on one of both sides, and how much that is is read off the ranks from
the greatest k down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError

Integers = NDArray[np.int64]


def longest_runs(rows: NDArray[np.int64], known: NDArray[np.int64]) -> tuple[Integers, Integers]:
    """The longest run of symbols that each row has in common with any known row, (N,), and that row's index, (N,).

    Args:
        rows: (N, L), symbols from 1 on, 0 behind a text's end.
        known: (M, K), likewise.

    Raises:
        UserError: no rows on one side.

    >>> longest_runs(np.array([[1, 2, 3, 0], [4, 4, 1, 2]]), np.array([[3, 1, 2, 4], [9, 9, 9, 9]]))
    (array([2, 2]), array([0, 0]))
    """
    if not len(rows) or not len(known):
        raise UserError(f"runs are looked for between texts, got {len(rows)} and {len(known)}")
    line, row = _line(known, rows)
    levels = _ranks(line, max(known.shape[1], rows.shape[1]))
    order = np.argsort(levels[-1], kind="stable")
    ours = row[order] < len(known)
    place = np.arange(len(line))
    before = np.maximum.accumulate(np.where(ours, place, -1))
    after = np.minimum.accumulate(np.where(ours, place, len(line))[::-1])[::-1]
    asked = np.flatnonzero(~ours)
    best, at = np.zeros(len(asked), np.int64), np.zeros(len(asked), np.int64)
    for side in (before[asked], after[asked]):
        there = (side >= 0) & (side < len(line))
        other = order[np.where(there, side, 0)]
        length = np.where(there, _common(levels, order[asked], other), 0)
        at = np.where(length > best, row[other], at)
        best = np.maximum(best, length)
    # The longest of each row, the first known row among equals.
    which = row[order[asked]] - len(known)
    rank = np.lexsort((at, -best, which))
    first = rank[np.searchsorted(which[rank], np.arange(len(rows)))]
    return best[first], at[first]


def shared_runs(rows: NDArray[np.int64], known: NDArray[np.int64], length: int) -> float:
    """The share of the runs of so many symbols in rows, (N, L), that occur in known rows, (M, K), too; NaN of none.

    >>> shared_runs(np.array([[1, 2, 3, 0]]), np.array([[3, 1, 2, 4]]), 2)
    0.5
    """
    ours, theirs = (_runs(part, length) for part in (rows, known))
    return float(np.isin(ours, np.unique(theirs)).mean()) if len(ours) else float("nan")


def _line(known: Integers, rows: Integers) -> tuple[Integers, Integers]:
    """All symbols in a line, each row closed by a number below 0 of its own, and the row of each place."""
    parts, places = [], []
    for start, block in ((0, known), (len(known), rows)):
        ends = np.where((block == 0).any(1), (block == 0).argmax(1), block.shape[1])
        closed = np.pad(np.asarray(block, np.int64), ((0, 0), (0, 1)))
        index = np.arange(len(block))
        closed[index, ends] = -1 - start - index
        keep = np.arange(closed.shape[1]) <= ends[:, None]
        parts.append(closed[keep])
        places.append((start + np.nonzero(keep)[0]).astype(np.int64))
    return np.concatenate(parts), np.concatenate(places)


def _runs(rows: NDArray[np.int64], length: int) -> NDArray[np.void]:
    """All runs of a length inside texts, each as one comparable value."""
    if rows.shape[1] < length:
        return np.zeros(0, np.dtype((np.void, 2 * length)))
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(rows, np.uint16), length, axis=1)
    inside = np.ascontiguousarray(windows[(windows != 0).all(2)])
    return inside.view(np.dtype((np.void, 2 * length)))[:, 0]


def _ranks(line: Integers, longest: int) -> list[Integers]:
    """The rank of the 2^k symbols from each place on, for k = 0, 1, ... until no run is longer."""
    levels = [np.unique(line, return_inverse=True)[1].astype(np.int64)]
    size = 1
    while size <= longest:
        rank = levels[-1]
        ahead = np.zeros_like(rank)
        ahead[: len(rank) - size] = 1 + rank[size:]
        levels.append(np.unique(rank * (len(rank) + 1) + ahead, return_inverse=True)[1].astype(np.int64))
        size *= 2
    return levels


def _common(levels: list[Integers], first: Integers, second: Integers) -> Integers:
    """How many symbols the line has in common from two places on."""
    length = np.zeros(len(first), np.int64)
    last = len(levels[0]) - 1
    for k in range(len(levels) - 1, -1, -1):
        a, b = first + length, second + length
        inside = (a <= last) & (b <= last)
        same = inside & (levels[k][np.minimum(a, last)] == levels[k][np.minimum(b, last)])
        length += np.where(same, 2**k, 0)
    return length
