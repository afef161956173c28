"""Csv files of series: a column for each channel, and a row for each step.

    time,demand,wind                         one series of two channels
    2024-05-01 00:00,31.2,0.4
    2024-05-01 01:00,29.8,

    series,class,time,demand                 several, one after another, each as long as it is
    a,winter,0,31.2

The times stand in a column named time, date, datetime, timestamp, step or hour, or in the first one with dates; without
one, rows are equal steps. A column named series, id or item says which series a row belongs to, and one named label or
class what that is, the same in all of its rows; so are other columns of words. All others hold numbers. A cell that is
empty, ?, NA or NaN is missing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError
from .cells import cells_of
from .columns import number
from .timestamps import Times, read_time, times_of

TIMES = ("time", "date", "datetime", "timestamp", "step", "hour")
SERIES_NAMES = ("series", "id", "item")
LABELS = ("label", "class")
MISSING = ("", "?", "na", "nan", "null")
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, eq=False)
class OneSeries:
    """One series of a table.

    Attributes:
        name: what the table calls it, "" where it holds one alone.
        values: (C, L) float64, NaN where a value is missing.
        times: of its steps; None where the table has none.
        label: its class, or None.
        lines: the line of the file of each row.
        others: the cell of each column that is no channel and the same in all rows, by its name.
    """

    name: str
    values: NDArray[np.float64]
    times: Times | None
    label: str | None
    lines: tuple[int, ...]
    others: Mapping[str, str] = field(default_factory=dict)

    def time(self, place: int) -> str:
        """The time of a step, also beyond the last: as the file writes it, or the step's number from 0."""
        return str(place) if self.times is None else self.times.at(place)


@dataclass(frozen=True, eq=False)
class TimeTable:
    """Series of a file.

    Attributes:
        channels: the names of the columns of numbers.
        time: the name of the column of times; None where there is none.
        series: at least one.
        notes: what a person should know, a sentence each.
    """

    channels: tuple[str, ...]
    time: str | None
    series: tuple[OneSeries, ...]
    notes: tuple[str, ...] = ()


def read_timetable(path: str | Path, *, apart: Collection[str] = ()) -> TimeTable:
    """The series of a csv file (see above).

    Args:
        path: the file.
        apart: columns that are no channels though they hold numbers: the same in all rows of a series.

    Raises:
        UserError: no header or no rows, a cell that is no number, times out of order, twice or uneven, a channel
            without one value; by the line and the column.
    """
    path = Path(path)
    header, rows = _rows(path)
    lowered = [name.lower() for name in header]
    at_series, at_label = _first(lowered, SERIES_NAMES), _first(lowered, LABELS)
    at_time = _first(lowered, TIMES)
    if at_time is None:
        others = (j for j in range(len(header)) if j not in (at_series, at_label))
        at_time = next((j for j in others if _dated([cells[j] for _, cells in rows])), None)
    known = (at_series, at_label, at_time)
    said = [j for j in range(len(header)) if j not in known]
    beside = [j for j in said if header[j] in apart or _worded([cells[j] for _, cells in rows])]
    own = [j for j in said if j not in beside]
    if not own:
        raise UserError(f"{path} has no column of numbers: give one for each channel of the series")
    values = np.array([[_value(cells[j], header[j], line, path) for j in own] for line, cells in rows], np.float64)
    for k, j in enumerate(own):
        if np.isnan(values[:, k]).all():
            raise UserError(f"{path}, column {header[j]!r}: not one value is there; leave the column out")
    names = [cells[at_series].strip() if at_series is not None else "" for _, cells in rows]
    found, notes = [], []
    for name, first, last in _blocks(names, rows, path):
        lines = tuple(line for line, _ in rows[first:last])
        part = values[first:last].T
        times = None
        if at_time is not None:
            cells = [row[at_time] for _, row in rows[first:last]]
            times = times_of(cells, lines, header[at_time], str(path))
            holes = times.length - len(lines)
            if holes:
                spread = np.full((len(own), times.length), math.nan)
                spread[:, list(times.places)] = part
                part = spread
                after = next(i for i in range(1, len(lines)) if times.places[i] != times.places[i - 1] + 1)
                which = f" of series {name!r}" if name else ""
                notes.append(f"{holes} times{which} have no row, the first after line {lines[after - 1]}: missing")
        label = None if at_label is None else _same(rows[first:last], at_label, header, path)
        if label == "":
            raise UserError(f"{path}, line {lines[0]}: the {header[at_label or 0]} is missing")
        alike = {header[j]: _same(rows[first:last], j, header, path) for j in beside}
        found.append(OneSeries(name, np.ascontiguousarray(part), times, label, lines, alike))
    time = None if at_time is None else header[at_time]
    return TimeTable(tuple(header[j] for j in own), time, tuple(found), tuple(notes))


def is_timetable(path: str | Path) -> bool:
    """Whether a csv file has a column of times by its name, or one that says which series a row belongs to."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            line = file.readline()
        names = [cell.lower() for cell in cells_of(line, _delimiter(line), path=path, number=1)]
    except (OSError, UnicodeDecodeError, UserError):
        return False
    return _first(names, TIMES) is not None or _first(names, SERIES_NAMES) is not None


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and each row with the number of its line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{str(path)!r} is not a text file in UTF-8; save the table as csv in UTF-8") from None
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be read: {error.strerror or error}") from None
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise UserError(f"{str(path)!r} is empty; give a header and one row for each step")
    delimiter = _delimiter(lines[0][1])
    rows = [(n, cells_of(line, delimiter, path=path, number=n)) for n, line in lines]
    header, rows = rows[0][1], rows[1:]
    if any(number(cell) is not None for cell in header):
        raise UserError(f"{path}, line 1: a header with the names of the columns is needed, such as time,demand")
    for name in header:
        if not name or header.count(name) > 1:
            raise UserError(f"{path}, line 1: each column needs a name of its own, and {name!r} is none")
    if not rows:
        raise UserError(f"{str(path)!r} has a header and no rows; give one row for each step")
    for line, cells in rows:
        if len(cells) != len(header):
            raise UserError(f"{path}, line {line}: {len(cells)} cells where the header has {len(header)}")
    return header, rows


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _first(lowered: Sequence[str], names: Sequence[str]) -> int | None:
    return next((lowered.index(name) for name in names if name in lowered), None)


def _dated(cells: Sequence[str]) -> bool:
    """Whether a column holds dates, and no numbers."""
    return all(number(cell) is None and read_time(cell) is not None for cell in cells)


def _value(cell: str, column: str, line: int, path: Path) -> float:
    if cell.lower() in MISSING:
        return math.nan
    value = number(cell)
    if value is None or not math.isfinite(value):
        raise UserError(
            f"{path}, line {line}, column {column!r} holds {cell!r}, where a finite number belongs; leave a missing "
            "value empty"
        )
    return value


def _blocks(names: Sequence[str], rows: Sequence[tuple[int, list[str]]], path: Path) -> list[tuple[str, int, int]]:
    """The rows of each series, (name, first, last + 1)."""
    found: list[tuple[str, int, int]] = []
    first = 0
    for i in range(1, len(names) + 1):
        if i == len(names) or names[i] != names[first]:
            if any(names[first] == name for name, _, _ in found):
                raise UserError(
                    f"{path}, line {rows[first][0]}: series {names[first]!r} goes on here; keep its rows together"
                )
            found.append((names[first], first, i))
            first = i
    return found


def _worded(cells: Sequence[str]) -> bool:
    """Whether a column holds words and no numbers."""
    filled = [cell for cell in cells if cell.lower() not in MISSING]
    return bool(filled) and all(number(cell) is None for cell in filled)


def _same(rows: Sequence[tuple[int, list[str]]], at: int, header: Sequence[str], path: Path) -> str:
    """The cell of a column that is one in all rows of a series."""
    for line, cells in rows:
        if cells[at] != rows[0][1][at]:
            raise UserError(
                f"{path}, line {line}, column {header[at]!r}: {cells[at]!r}, where this series has {rows[0][1][at]!r}; "
                "what is no number says what a whole series is"
            )
    return rows[0][1][at]
