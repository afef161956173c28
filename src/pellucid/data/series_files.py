"""Whatever a person calls their series, opened as such.

    .ts, .npy, .npz             as elsewhere; (N, L) is N series of one channel
    .csv, .tsv                  `timetable`: a row for each step
    .tsv without a header       the UCR archive's: a row for each series, its class first; NaN at its end is no value
    a folder                    a .npy (C, L) or (L,) for each series, sub-folders or labels.csv for classes

One long series is cut into windows of `length` steps that do not overlap: so none of them tells of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError
from .arrays import Dataset
from .builtin import BUILTIN
from .codecs import SignalCodec
from .column import Column
from .columns import number
from .files import load_npy, load_npz, read_array
from .folder_labels import labels_of, read_table
from .infer import ColumnKinds
from .ragged import series_dataset, until_end
from .series import SERIES, SERIES_SUFFIX, load_series
from .timetable import TimeTable, read_timetable


@dataclass(frozen=True)
class SeriesReading:
    """How series are read.

    Attributes:
        length: steps of the windows into which the series of a csv file are cut; whole if None.
        missing: whether values may be missing: NaN, ? and empty cells.
    """

    length: int | None = None
    missing: bool = False


def open_series(
    source: str | Path,
    reading: SeriesReading,
    *,
    labels: str | None = None,
    conditions: ColumnKinds | None = None,
) -> Dataset:
    """A data set of series.

    Args:
        source: a built-in name, a file or a folder, as above.
        reading: how they are read.
        labels: of a .npy another .npy, of a .npz a key, of a folder a csv; "none" reads none. What is there if None.
        conditions: which columns of a csv or a labels.csv are conditions, and of which kind.

    Raises:
        UserError: no such data, data that are no series, or values missing that were not said to be.
    """
    path = Path(source).expanduser()
    suffix = path.suffix.lower()
    if path.is_dir():
        found = _folder(path, reading, labels, conditions or ColumnKinds())
    elif not path.is_file():
        name = str(source)
        if name not in BUILTIN or not isinstance((found := BUILTIN[name]()).codec, SignalCodec):
            raise UserError(
                f"no series {name!r}: give a .csv, .ts, .npy or .npz file, a folder of .npy files, or one of the "
                f"built-in sets {', '.join(SERIES)}"
            )
    elif _of_the_archive(path):
        found = _rows(path, reading)
    elif suffix in (".csv", ".tsv"):
        found = _of_table(path, reading, conditions or ColumnKinds())
    elif suffix == SERIES_SUFFIX:
        found = load_series(path, missing=reading.missing)
    elif suffix == ".npy":
        found = load_npy(path, labels=labels, kind="signal", missing=reading.missing)
    elif suffix == ".npz":
        found = load_npz(path, labels=labels, kind="signal", missing=reading.missing, conditions=conditions)
    else:
        raise UserError(f"series are read from .csv, .ts, .npy and .npz files and folders of .npy, not from {path}")
    if reading.length is not None and (suffix not in (".csv", ".tsv") or _of_the_archive(path)):
        raise UserError("data.length cuts the series of a .csv file into windows, and these are series already")
    return replace(found, labels=None, label_names=()) if labels == "none" else found


def _of_table(path: Path, reading: SeriesReading, conditions: ColumnKinds) -> Dataset:
    table = read_timetable(path, apart=list(conditions.kinds))
    if not reading.missing:
        _refuse_missing(path, table)
    notes = list(table.notes)
    length = reading.length
    if len(table.series) == 1 and length is None:
        steps = table.series[0].values.shape[1]
        raise UserError(
            f"{path} holds one series of {steps} steps, and a model learns from many: give data.length=STEPS to cut it "
            "into windows, or say by a column named series which rows belong together"
        )
    series: list[NDArray[np.float64]] = []
    of: list[int] = []
    left = 0
    for i, one in enumerate(table.series):
        steps = one.values.shape[1]
        starts = [0] if length is None else range(0, steps - length + 1, length)
        windows = [one.values[:, start : start + (length or steps)] for start in starts]
        kept = [window for window in windows if not np.isnan(window).all()]
        series, of = [*series, *kept], [*of, *[i] * len(kept)]
        left += 0 if length is None else steps - length * len(windows)
    if not series:
        raise UserError(f"{path}: no series has the {length} steps of data.length; give less")
    if left:
        notes.append(f"{left} steps at the ends of series fill no window of {length}, and are left out")
    words = [table.series[i].label for i in of]
    labels = [word for word in words if word is not None]
    made = series_dataset(
        series,
        labels if len(labels) == len(series) else None,
        path.stem,
        channels=[f"column {name!r}" for name in table.channels],
        notes=tuple(notes),
    )
    cells = {name: [table.series[i].others[name] for i in of] for name in table.series[0].others}
    return _with_columns(made, *conditions.columns(cells))


def _of_the_archive(path: Path) -> bool:
    """Whether a file is a .tsv whose first line holds numbers alone, and at least a class and two values."""
    if path.suffix.lower() != ".tsv":
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        cells = file.readline().rstrip("\n").split("\t")
    return len(cells) > 2 and all(number(cell) is not None for cell in cells)


def _rows(path: Path, reading: SeriesReading) -> Dataset:
    series, labels = [], []
    for line, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not text.strip():
            continue
        cells = text.split("\t")
        numbers = [number(cell) for cell in cells]
        if None in numbers or len(numbers) < 2:
            odd = next((cell for cell, value in zip(cells, numbers, strict=True) if value is None), text)
            raise UserError(f"{path}, line {line}: {odd!r}, where a class and then numbers belong, parted by tabs")
        values = np.array(numbers[1:], np.float64)[None]
        one = until_end(values)
        if np.isinf(one).any() or (np.isnan(one).any() and not reading.missing):
            step = int(np.flatnonzero(~np.isfinite(one[0]))[0])
            raise UserError(
                f"{path}, line {line}: {one[0, step]} at step {step} (counted from 0): fill it in, or set "
                "data.missing=true where NaN is a missing value"
            )
        series.append(one)
        labels.append(cells[0].strip())
    return series_dataset(series, labels, path.stem)


def _folder(path: Path, reading: SeriesReading, labels: str | None, conditions: ColumnKinds) -> Dataset:
    files = sorted(path.rglob("*.npy"))
    if not files:
        raise UserError(f"the folder {path} holds no .npy file: give one for each series, (C, L) or (L,)")
    series: list[NDArray[np.float64]] = []
    for file in files:
        array = read_array(file)
        if array.dtype.kind not in "biuf" or array.ndim not in (1, 2) or not array.size:
            raise UserError(f"{file}: a series is (C, L) or (L,), got {array.dtype} of shape {array.shape}")
        one = np.asarray(array, np.float64).reshape(-1, array.shape[-1])
        if series and len(one) != len(series[0]):
            raise UserError(f"{file}: {len(one)} channels, where {files[0].name} has {len(series[0])}")
        if np.isinf(one).any() or (np.isnan(one).any() and not reading.missing):
            c, step = np.argwhere(~np.isfinite(one))[0]
            raise UserError(
                f"{file}: {one[c, step]} in channel {c}, step {step} (counted from 0): fill it in, or set "
                "data.missing=true where NaN is a missing value"
            )
        series.append(one)
    names = [file.relative_to(path).as_posix() for file in files]
    table = read_table(path, labels)
    found, note = (None, None) if labels == "none" else labels_of(names, table.labels)
    made = series_dataset(series, found, path.name, notes=() if note is None else (note,))
    cells = {title: [row.get(name, "") for name in names] for title, row in table.columns.items()}
    return _with_columns(made, *conditions.columns(cells))


def _with_columns(made: Dataset, columns: tuple[Column, ...], notes: Sequence[str]) -> Dataset:
    return replace(made, columns=columns, notes=(*made.notes, *notes))


def _refuse_missing(path: Path, table: TimeTable) -> None:
    for one in table.series:
        absent = np.argwhere(np.isnan(one.values.T))
        if not len(absent):
            continue
        step, channel = absent[0]
        which = f" of series {one.name!r}" if one.name else ""
        when = f" at {table.time} {one.time(int(step))}" if table.time is not None else f", line {one.lines[step]}"
        raise UserError(
            f"{path}{when}{which}, column {table.channels[channel]!r}: a value is missing; fill it in, or set "
            "data.missing=true: missing values then count nowhere"
        )
