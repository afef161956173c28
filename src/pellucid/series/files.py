"""Files of series that are to be carried on or filled: .csv, .ts and .npy, gaps allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.codecs import SeriesCodec
from ..data.files import read_array
from ..data.ragged import until_end
from ..data.series import SERIES_SUFFIX, read_ts
from ..data.timetable import read_timetable
from ..foundations.errors import UserError
from ..model import Model
from .forecast import series_shape


@dataclass(frozen=True, eq=False)
class Given:
    """Series of a file, in its own units.

    Attributes:
        path: the file.
        values: (C, L) of each, NaN where a value is missing.
        channels: their names.
        names: of the series.
        time: what the file calls its times; None where steps are counted from 0.
        times: of each series, what stands at a step, also beyond the last.
        notes: what a person should know.
    """

    path: Path
    values: list[NDArray[np.float64]]
    channels: tuple[str, ...]
    names: tuple[str, ...]
    time: str | None = None
    times: tuple[Callable[[int], str], ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def several(self) -> bool:
        """Whether there is more than one series, or one with a name."""
        return len(self.values) > 1

    def place(self, i: int, step: int) -> list[str]:
        """The first cells of a step's row: the series' name where there are several, and the time."""
        return ([self.names[i]] if self.several else []) + [self.time_at(i, step)]

    def time_at(self, i: int, step: int) -> str:
        """What stands at a step of a series: its time, or its number from 0."""
        return self.times[i](step) if self.times else str(step)

    def title(self, channel: int) -> str:
        """A channel's name where it says anything."""
        return self.channels[channel] if len(self.channels) > 1 or self.time is not None else ""


def read_series(path: Path, model: Model) -> Given:
    """The series of a file for a model.

    Raises:
        UserError: a file that cannot be read, of another kind, of other channels than the model's, with series longer
            than the model knows, or one without any value.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        found = _table(path)
    elif suffix == SERIES_SUFFIX:
        series, _ = read_ts(path, missing=True)
        several = [np.asarray(one, np.float64) for one in series]
        found = Given(path, several, _numbered(len(several[0])), tuple(f"series {i}" for i in range(len(several))))
    elif suffix == ".npy":
        found = _array(path, model)
    else:
        raise UserError(f"{path}: series are read from .csv, .ts and .npy files")
    channels, known = series_shape(model)
    for name, values in zip(found.names, found.values, strict=True):
        which = f"{path}, {name}" if len(found.values) > 1 else str(path)
        if len(values) != channels:
            raise UserError(
                f"{which}: {len(values)} channels ({', '.join(found.channels)}), and the model's have {channels}"
            )
        if values.shape[1] > known:
            raise UserError(f"{which}: {values.shape[1]} steps, and the model knows series of {known}: cut it to these")
        if np.isnan(values).all():
            raise UserError(f"{which}: not one value is there")
    return found


def _table(path: Path) -> Given:
    table = read_timetable(path)
    names = tuple(one.name for one in table.series)
    values = [one.values for one in table.series]
    return Given(path, values, table.channels, names, table.time, tuple(o.time for o in table.series), table.notes)


def _array(path: Path, model: Model) -> Given:
    array = read_array(path)
    channels, _ = series_shape(model)
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2, 3) or not array.size:
        raise UserError(f"{path}: series are numbers (C, L) or (N, C, L), got {array.dtype} of shape {array.shape}")
    x = np.asarray(array, np.float64)
    if x.ndim == 1 and channels == 1:
        x = x[None]
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[1] != channels:
        raise UserError(
            f"{path}: an array of shape {array.shape}, and the model's series have {channels} "
            f"channel{'s' * (channels > 1)}: give ({channels}, L), or (N, {channels}, L) of several"
        )
    if np.isinf(x).any():
        place = tuple(int(i) for i in np.argwhere(np.isinf(x))[0])
        raise UserError(f"{path}: an infinite value at {place} (series, channel, step, counted from 0): NaN is a gap")
    # Of a model of series with ends of their own, what is NaN in all channels to the end is behind the end.
    ended = isinstance(model.card.codec, SeriesCodec)
    several = [np.asarray(until_end(one) if ended else one, np.float64) for one in x]
    return Given(path, several, _numbered(channels), tuple(f"series {i}" for i in range(len(x))))


def _numbered(channels: int) -> tuple[str, ...]:
    return ("value",) if channels == 1 else tuple(f"channel{i}" for i in range(channels))
