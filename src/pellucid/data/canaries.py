r"""Canaries: marked items that are put into a training set on purpose, each a known number of times.

A canary is a held-out item with a mark that no other item has, so that nothing but the training set can tell a model of
it. The held-out items that are left, marked in the same way, are its twins: what a model makes of a canary is judged
beside what it makes of twins that it never saw (Carlini et al., "The Secret Sharer", 2019, section 4).

    pictures  a block of random black and white pixels in a corner
    signals   a stretch of random jumps
    points    each value that of another item: a row that is nowhere; so of tables, cell by cell
    tokens    a string of random symbols, as long as the item's text

All is a function of the items' own bytes, so that a run that goes on has the same canaries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError
from ..foundations.rng import subseed
from .arrays import Dataset, item_hashes
from .rows import pick
from .table_codec import TableCodec

REPEATS = (1, 10, 100)
_LEFT = 20  # held-out items that must be left to compare with


def plant(
    ds: Dataset, train: NDArray[np.int64], held: NDArray[np.int64], num: int
) -> tuple[Dataset, Dataset, list[dict[str, Any]]]:
    """Both sides with so many canaries: the k-th is put in 1, 10 or 100 times in turn, and its item is not held out.

    Args:
        ds: the whole data set.
        train, held: the indices of both sides, as `arrays.sides` gives them.
        num: how many canaries.

    Returns:
        The training items with the canaries at their end, the other held-out items, and of each canary its hash (that
        of `item_hashes`, in hexadecimal) and how often it is there.

    Raises:
        UserError: items that cannot be marked, or too few held-out ones.
    """
    if ds.codec.kind not in _MARKS or (len(ds.shape) == 1 and ds.shape[0] < 2):
        raise UserError(
            f"canaries are marked items of the kinds {', '.join(sorted(_MARKS))}, of at least two values; {ds.name!r} "
            f"holds {ds.codec.kind} items of the shape {ds.shape}: leave canaries out"
        )
    if len(held) < num + _LEFT:
        raise UserError(
            f"{num} canaries are made of held-out items, and {_LEFT} more stay to compare them with: {len(held)} are "
            "held out, so hold out more (data.holdout), or ask for fewer"
        )
    hashes = item_hashes(pick(ds.items, held))
    # Of items that are there several times one becomes a canary, and its equals are held out no longer.
    distinct, first = np.unique(hashes, return_index=True)
    chosen, used = held[first[:num]], distinct[:num]
    source = ds.subset(held)
    canaries = marked(source, ds.subset(chosen), "canary")
    repeats = np.array([REPEATS[k % len(REPEATS)] for k in range(len(chosen))])
    facts = [
        {"hash": f"{int(each):016x}", "repeats": int(count)}
        for each, count in zip(item_hashes(canaries.items), repeats, strict=True)
    ]
    items = np.concatenate([ds.items[train], np.repeat(np.asarray(canaries.items), repeats, axis=0)])
    planted = replace(ds.subset(np.concatenate([train, np.repeat(chosen, repeats)])), items=items)
    return planted, ds.subset(held[~np.isin(hashes, used)]), facts


def marked(source: Dataset, items: Dataset, purpose: str) -> Dataset:
    """Items with a mark each, a function of the item and the purpose.

    Args:
        source: where the marks of points and tokens take their values from.
        items: to mark.
        purpose: another one gives other marks.
    """
    mark, codec = _MARKS[items.codec.kind], items.codec
    found = np.array(items.items[np.arange(len(items))])
    pool = np.asarray(source.items[np.arange(len(source))])
    if isinstance(codec, TableCodec):
        found, pool = codec.unpack(found), codec.unpack(pool)
    for row, hashed in enumerate(item_hashes(items.items)):
        found[row] = mark(found[row], pool, np.random.RandomState(subseed(int(hashed), purpose) % 2**32))
    return replace(items, items=codec.pack(found) if isinstance(codec, TableCodec) else found)


def _picture(item: NDArray[Any], pool: NDArray[Any], random: np.random.RandomState) -> NDArray[Any]:
    side = max(2, min(item.shape[1:]) // 5)
    item[:, :side, :side] = 255 * random.randint(0, 2, (side, side))
    return item


def _signal(item: NDArray[Any], pool: NDArray[Any], random: np.random.RandomState) -> NDArray[Any]:
    length = max(2, item.shape[1] // 8)
    start = random.randint(0, item.shape[1] - length + 1)
    spread = pool.std(axis=(0, 2)) + 1e-6
    item[:, start : start + length] += 2 * spread[:, None] * (2 * random.randint(0, 2, (len(item), length)) - 1)
    return item


def _point(item: NDArray[Any], pool: NDArray[Any], random: np.random.RandomState) -> NDArray[Any]:
    return np.asarray([pool[random.randint(len(pool)), column] for column in range(len(item))], item.dtype)


def _string(item: NDArray[Any], pool: NDArray[Any], random: np.random.RandomState) -> NDArray[Any]:
    length = int((item != 0).sum()) or len(item)
    item[:length] = random.randint(1, int(pool.max()) + 1, length)
    return item


Mark = Callable[[NDArray[Any], NDArray[Any], np.random.RandomState], NDArray[Any]]
_MARKS: dict[str, Mark] = {"image": _picture, "signal": _signal, "points": _point, "table": _point, "tokens": _string}
