"""Series of several lengths, or with missing values, as one data set: padded with NaN to the longest.

What is NaN is not there: a network is told so (`nn.spec.PRESENCE`), no loss counts it, and a sample has its own length,
drawn from those of the data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from .arrays import Dataset, encode_labels
from .codecs import SeriesCodec, signal_codec

_PURPOSE = "lengths"


def series_dataset(
    series: Sequence[NDArray[np.floating]],
    labels: Sequence[str] | None,
    name: str,
    *,
    channels: Sequence[str] = (),
    notes: tuple[str, ...] = (),
) -> Dataset:
    """A data set of series (C, L) each: of plain signals where all have one length and every value.

    Args:
        series: NaN where a value is missing.
        labels: the class of each, or None.
        name: a word for reports and messages.
        channels: their names, for messages.
        notes: what a person should know.

    Raises:
        UserError: a channel of which no series has a value, or a series without one.
    """
    longest = max(one.shape[1] for one in series)
    items = np.full((len(series), len(series[0]), longest), np.nan, np.float32)
    for row, one in zip(items, series, strict=True):
        row[:, : one.shape[1]] = one
    items += np.float32(0)  # -0 made +0, so that equal items have equal bytes
    there = ~np.isnan(items)
    titles = list(channels) or [f"channel {c} (counted from 0)" for c in range(items.shape[1])]
    for c, title in enumerate(titles):
        if not there[:, c].any():
            raise UserError(f"{name}: {title} has not one value: leave it out")
    empty = np.flatnonzero(~there.any((1, 2)))
    if len(empty):
        raise UserError(f"{name}: series {empty[0]} (counted from 0) has not one value: leave it out")
    for c, title in enumerate(titles):
        values = items[:, c][there[:, c]]
        if values.min() == values.max():
            notes = (*notes, f"{title} is constant ({values[0]:g}) and tells a model nothing")
    ids, names = (None, ()) if labels is None else encode_labels(np.array(labels))
    lengths = np.array([one.shape[1] for one in series])
    if there.all():
        return Dataset(items, ids, names, signal_codec(items), name, notes=notes)
    if lengths.min() < longest:
        notes = (*notes, f"series of {lengths.min()} to {longest} steps")
    holes = sum(int(np.isnan(one).sum()) for one in series)
    if holes:
        notes = (*notes, f"{holes} values within the series are missing: they count nowhere")
    return Dataset(items, ids, names, _codec(items, there, lengths, ids, bool(holes)), name, notes=notes)


def until_end(one: NDArray[np.floating]) -> NDArray[np.floating]:
    """A series (C, L) without the steps behind its last value; the first step of one without any."""
    there = np.flatnonzero((~np.isnan(one)).any(0))
    return one[:, : there[-1] + 1] if len(there) else one[:, :1]


def _codec(
    items: NDArray[np.float32],
    there: NDArray[np.bool_],
    lengths: NDArray[np.int64],
    ids: NDArray[np.int64] | None,
    holes: bool,
) -> SeriesCodec:
    values = items.astype(np.float64)
    mean = np.nanmean(values, axis=(0, 2))
    std = np.nanstd(values, axis=(0, 2))
    std = np.where(std > 0, std, 1.0)
    classes = np.full(len(lengths), -1) if ids is None else ids
    kinds, counts = np.unique(np.stack([lengths, classes]), axis=1, return_counts=True)
    of, which = kinds.tolist()
    return SeriesCodec(
        items.shape[2],
        tuple(mean.tolist()),
        tuple(std.tolist()),
        tuple(of),
        tuple(which),
        tuple(counts.tolist()),
        holes,
    )


def presence(x: Tensor) -> Tensor:
    """1 where a value is there, 0 where it is NaN, of the shape and type of x."""
    return (~x.isnan()).to(x)


def drawn_lengths(codec: SeriesCodec, ids: Sequence[int], seed: int, labels: Tensor | None) -> Tensor:
    """The length of each sample, (B,) int64: as often as among the training series, of its class where it has one.

    A pure function of (seed, id, class).

    Args:
        codec: knows the lengths.
        ids: the samples' numbers.
        seed: of the sampling run.
        labels: (B,), or None; a label that is no class's is none.
    """
    lengths, classes, counts = (np.array(each) for each in (codec.lengths, codec.classes, codec.counts))
    u = Stream.of(subseed(seed, _PURPOSE), ids).fine_uniform((1,), step=0)[0, 0, :, 0].numpy()
    found = np.empty(len(ids), np.int64)
    wanted = np.full(len(ids), -1) if labels is None else labels.cpu().numpy()
    for label in np.unique(wanted):
        own = classes == label
        weights = np.where(own, counts, 0) if own.any() else counts
        order = np.argsort(lengths, kind="stable")
        shares = np.cumsum(weights[order]) / weights.sum()
        rows = wanted == label
        found[rows] = lengths[order][np.searchsorted(shares, u[rows], side="right")]
    return torch.from_numpy(found)


def presence_of(lengths: Tensor, shape: Sequence[int]) -> Tensor:
    """What is there of series of such lengths (B,): (B, C, L) of 1 and 0, for items of shape (C, L)."""
    channels, length = shape
    inside = (torch.arange(length, device=lengths.device) < lengths[:, None]).float()
    return inside[:, None].expand(-1, channels, -1)
