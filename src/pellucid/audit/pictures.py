"""What an audit shows of items: a sample, its nearest training item and its nearest held-out item, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..data.codecs import Codec
from ..data.grid import picture_grid
from ..data.table_codec import TableCodec
from ..data.tokens import TokenCodec
from ..evaluation.looks import curves
from .copies import Copies

PAIRS = 12
_SIDE = 64  # pixels of a picture on the page, at least
_GROUPS, _MEMBERS = 8, 10
_ROWS = ("sample", "train", "held")
_NUMBERS = 8  # of an item that is no picture


@dataclass(frozen=True)
class Pair:
    """One row of the page.

    Attributes:
        sample: its number.
        train, held: the nearest training and held-out item, by index.
        distance, distance_held: how far they are.
        p: as a copy.
        words: the three items in words, where they are no pictures; ().
    """

    sample: int
    train: int
    held: int
    distance: float
    distance_held: float
    p: float
    words: tuple[str, ...] = ()


def pairs_of(
    copies: Copies, items: tuple[NDArray[Any], NDArray[Any], NDArray[Any]], codec: Codec, num: int = PAIRS
) -> tuple[Pair, ...]:
    """The samples that are most like a training item, the clearest first, no training item twice.

    Args:
        copies: the search.
        items: samples, training and held-out items, in the data's own units.
        codec: of the items.
        num: at most so many.
    """
    found: list[Pair] = []
    used: set[int] = set()
    for sample in copies.ratios.argsort(stable=True).tolist():
        train, held = int(copies.nearest[sample]), int(copies.nearest_held[sample])
        if train in used:
            continue
        used.add(train)
        shown = (
            ()
            if codec.kind == "image"
            else tuple(in_words(part[at], codec) for part, at in zip(items, (sample, train, held), strict=True))
        )
        found.append(
            Pair(
                sample,
                train,
                held,
                float(copies.distance[sample]),
                float(copies.distance_held[sample]),
                float(copies.p[sample]),
                shown,
            )
        )
        if len(found) == num:
            break
    return tuple(found)


def in_words(item: NDArray[Any], codec: Codec) -> str:
    """An item that is no picture, in a line."""
    if isinstance(codec, TokenCodec):
        return codec.texts(item[None])[0]
    if isinstance(codec, TableCodec):
        return ", ".join(codec.rows(item[None])[0])
    values = item.reshape(-1)
    more = ", ..." if len(values) > _NUMBERS else ""
    return ", ".join(f"{value:.4g}" for value in values[:_NUMBERS].tolist()) + more


def draw_pairs(pairs: Sequence[Pair], items: tuple[NDArray[Any], NDArray[Any], NDArray[Any]], path: Path) -> None:
    """Writes the pairs as one picture: a row of samples, one of training items and one of held-out items."""
    rows = [[part[getattr(pair, name)] for pair in pairs] for part, name in zip(items, _ROWS, strict=True)]
    stacked = np.stack([item for row in rows for item in row])
    _sheet(stacked, len(pairs)).save(path)


def draw_groups(groups: Sequence[Sequence[int]], items: NDArray[Any], path: Path) -> None:
    """Writes the first items of the largest groups, a row for each."""
    rows = [list(group[:_MEMBERS]) for group in groups[:_GROUPS]]
    columns = max(map(len, rows))
    blank = np.full_like(items[0], 255 if items.dtype == np.uint8 else np.nan)
    stacked = np.stack([items[row[k]] if k < len(row) else blank for row in rows for k in range(columns)])
    _sheet(stacked, columns).save(path)


def draw_clumps(
    samples: Sequence[int], trains: Sequence[int], made: NDArray[Any], train: NDArray[Any], path: Path
) -> None:
    """Writes the middles of clumps of samples above the training items that they are."""
    stacked = np.stack([*(made[i] for i in samples), *(train[i] for i in trains)])
    _sheet(stacked, len(samples)).save(path)


def _sheet(items: NDArray[Any], columns: int) -> Image.Image:
    """Pictures (N, C, H, W), or signals (N, C, L) as small plots with one scale."""
    if items.ndim == 3:
        return curves(items, columns)
    return picture_grid(items, columns=columns, scale=max(1, round(_SIDE / items.shape[-1])))


def as_items(made: Tensor, codec: Codec) -> NDArray[Any]:
    """Samples in the codec's scale, in the data's own units."""
    found: NDArray[Any] = codec.decode(made)
    return found
