"""A data set: items in memory or on disk, their labels, and the codec that turns them into tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..foundations.errors import UserError
from .codecs import Codec
from .column import Column
from .images import Rejected
from .natural import natural
from .rows import Rows, pick

_SLICE_BYTES = 1 << 24  # how much of a memory-mapped array is looked at together


@dataclass(frozen=True, eq=False)
class Dataset:
    """Items, labels and codec.

    Attributes:
        items: (N, *shape): uint8 pictures (N, C, H, W), float32 points (N, D) or float32 signals (N, C, L), as an
            array, a memory-mapped array or `Rows` of one.
        labels: (N,) int64, 0 .. len(label_names) - 1, or None.
        label_names: the name of each label.
        codec: how items become float32 tensors and back.
        name: a word for reports.
        rejected: what was left out, and why.
        notes: what a person should know of how the data were read, a sentence each.
        groups: (N,) int64, or None: items of one group (patches of one picture) stay on one side of a split.
        columns: what else each item can be asked for by, beside its label.

    Raises:
        ValueError: labels or columns that do not fit the items or the names.
    """

    items: NDArray[Any] | Rows
    labels: NDArray[np.int64] | None
    label_names: tuple[str, ...]
    codec: Codec
    name: str
    rejected: tuple[Rejected, ...] = ()
    notes: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    columns: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        if tuple(self.items.shape[1:]) != self.codec.shape:
            raise ValueError(f"items have the shape {self.items.shape[1:]}, their codec {self.codec.shape}")
        if self.groups is not None and self.groups.shape != (len(self.items),):
            raise ValueError(f"{len(self.items)} items need as many groups, got the shape {self.groups.shape}")
        names = ["label", *(column.part.name for column in self.columns)]
        if len(set(names)) < len(names):
            raise ValueError(f"the columns of a data set need names of their own, got {', '.join(names)}")
        for column in self.columns:
            if len(column) != len(self.items):
                raise ValueError(f"{len(self.items)} items need as many values of {column.part.name!r}: {len(column)}")
        if self.labels is None:
            return
        if self.labels.shape != (len(self.items),):
            raise ValueError(f"{len(self.items)} items need as many labels, got the shape {self.labels.shape}")
        if self.labels.size and not 0 <= self.labels.min() <= self.labels.max() < len(self.label_names):
            raise ValueError(f"labels must be in 0 .. {len(self.label_names) - 1} (there are that many names)")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        return self.codec.shape

    def fetch(self, indices: ArrayLike) -> tuple[Tensor, Tensor | None]:
        """The items at the given indices, (B,), encoded.

        Returns:
            x, float32 (B, *shape), and the labels, int64 (B,), or None where the data set has none.
        """
        rows = np.asarray(indices, dtype=np.int64)
        labels = None if self.labels is None else torch.from_numpy(self.labels[rows])
        return self.codec.encode(self.items[rows]), labels

    def conditions(self, indices: ArrayLike) -> dict[str, Tensor]:
        """What the items at the given indices can be asked for by: label (B,) int64, where there are any, and a tensor
        (B, *) of each column, by its name."""
        rows = np.asarray(indices, dtype=np.int64)
        label = {} if self.labels is None else {"label": torch.from_numpy(self.labels[rows])}
        return {**label, **{column.part.name: column.tensor(rows) for column in self.columns}}

    def subset(self, indices: ArrayLike) -> Dataset:
        """The data set of the items at the given indices, in that order. What is on disk stays there."""
        rows = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            items=pick(self.items, rows),
            labels=None if self.labels is None else self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
            columns=tuple(column.subset(rows) for column in self.columns),
        )

    def fingerprint(self) -> str:
        """The sha256, in hexadecimal, of type, shape, items, labels and columns: it names the data in a checkpoint."""
        digest = hashlib.sha256(f"{self.items.dtype.str} {tuple(self.items.shape)}".encode())
        for part in slices(self.items):
            digest.update(part.tobytes())
        if self.labels is not None:
            digest.update(self.labels.astype("<i8").tobytes())
        for column in self.columns:
            column.update(digest)
        return digest.hexdigest()


def slices(items: NDArray[Any] | Rows) -> Iterator[NDArray[Any]]:
    """Consecutive slices of the items, each small enough for memory."""
    step = max(1, _SLICE_BYTES // max(1, int(np.prod(items.shape[1:])) * items.dtype.itemsize))
    for start in range(0, len(items), step):
        yield np.asarray(items[start : start + step])


def item_hashes(items: NDArray[Any] | Rows) -> NDArray[np.uint64]:
    """A 64-bit hash (BLAKE2b) of each item's bytes, shape (N,): equal items have equal hashes."""
    hashes = [
        hashlib.blake2b(item.tobytes(), digest_size=8, person=b"pellucid").digest()
        for part in slices(items)
        for item in part
    ]
    return np.frombuffer(b"".join(hashes), dtype="<u8").astype(np.uint64)


def split(ds: Dataset, holdout: float) -> tuple[Dataset, Dataset]:
    r"""Splits off a held-out part: the items with hash(bytes) < holdout * 2^64.

    The side of an item depends on its own bytes alone. So it never changes when others are added or reordered, and
    copies of one item land on one side, where a shuffled split would leak them. The held-out count is binomial:
    holdout * N give or take sqrt(N holdout (1 - holdout)). Items of one group go where its first item goes.

    Args:
        ds: the data set.
        holdout: the fraction to hold out, in [0, 1).

    Returns:
        (train, held), each in the order of `ds`; `held` may be empty where the data set is small.

    Raises:
        UserError: a fraction out of range, or no item left to train on.
    """
    train, held = sides(ds, holdout)
    return ds.subset(train), ds.subset(held)


def sides(ds: Dataset, holdout: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The indices of both sides of `split`, whose arguments and errors these are."""
    if not 0 <= holdout < 1:
        raise UserError(f"the held-out fraction must be in [0, 1), got {holdout}")
    if ds.groups is None:
        held = item_hashes(ds.items).astype(np.float64) < holdout * 2.0**64
    else:
        _, first, group = np.unique(ds.groups, return_index=True, return_inverse=True)
        held = (item_hashes(np.asarray(ds.items[first])).astype(np.float64) < holdout * 2.0**64)[group]
    if held.all():
        raise UserError(
            f"holding out {holdout:g} of {len(ds)} items leaves none to train on; hold out less, or give more items"
        )
    return np.flatnonzero(~held), np.flatnonzero(held)


def evenly(data: Dataset, num: int) -> Dataset:
    """So many items at equal steps: files are often ordered by class, and the first ones are of one."""
    return data.subset(np.linspace(0, len(data) - 1, min(num, len(data))).astype(np.int64))


def encode_labels(values: NDArray[Any]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Any labels, (N,) integers or strings, as (N,) int64 in 0 .. K - 1 with K names; numbers are ordered as numbers.

    >>> encode_labels(np.array(["10", "9", "10"]))
    (array([1, 0, 1]), ('9', '10'))
    """
    names, inverse = np.unique(values, return_inverse=True)
    order = sorted(range(len(names)), key=lambda i: natural(str(names[i])))
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    return place[inverse.reshape(-1)], tuple(str(names[i]) for i in order)
