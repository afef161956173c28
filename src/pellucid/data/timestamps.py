"""The times of a series' steps: read, checked for their order and spacing, and carried on beyond the last.

Times are whole or fractional numbers, or dates in ISO 8601 (2024-05-01, 2024-05-01 13:00, with a zone where wanted).
They are even where one step is the same number of units, of seconds, or of months (of years, too) as any other. Whole
steps may be missing between two rows; these are holes.
"""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from ..foundations.errors import UserError

_MONTHS = 12


@dataclass(frozen=True)
class Times:
    """Even times.

    Attributes:
        first: the first time: a number, or a date.
        step: between two: in units of the numbers, in seconds, or in months.
        unit: "number", "second" or "month".
        form: how a date is written, for `strftime`; "" of numbers.
        day: of months, the day of the month that is meant; 31 for the last.
        places: the row's place on the even grid, of each row.
    """

    first: Fraction | datetime
    step: Fraction
    unit: str
    form: str
    day: int
    places: tuple[int, ...]

    @property
    def length(self) -> int:
        """Steps from the first row to the last, holes counted."""
        return self.places[-1] + 1

    def at(self, place: int) -> str:
        """The time at a place of the grid, also beyond the last, as the file writes it."""
        if isinstance(self.first, Fraction):
            value = self.first + place * self.step
            return str(int(value)) if value.denominator == 1 else repr(float(value))
        if self.unit == "month":
            months = self.first.year * _MONTHS + self.first.month - 1 + place * int(self.step)
            year, month = divmod(months, _MONTHS)
            day = min(self.day, calendar.monthrange(year, month + 1)[1])
            return self.first.replace(year=year, month=month + 1, day=day).strftime(self.form)
        return (self.first + timedelta(seconds=float(place * self.step))).strftime(self.form)


def read_time(cell: str) -> Fraction | datetime | None:
    """A number or an ISO date, or None for anything else.

    >>> read_time("2.5"), read_time("2024-02-29"), read_time("tomorrow")
    (Fraction(5, 2), datetime.datetime(2024, 2, 29, 0, 0), None)
    """
    text = cell.strip()
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def times_of(cells: Sequence[str], lines: Sequence[int], column: str, where: str) -> Times:
    """The times of rows.

    Args:
        cells: as the file writes them.
        lines: the line of the file of each, for messages.
        column, where: names of the column and the file, for messages.

    Raises:
        UserError: what is no time, out of order, there twice, or not even, with the line of the first.
    """
    place = f"column {column!r}"
    found = [read_time(cell) for cell in cells]
    kind = next((type(time) for time in found if time is not None), None)
    for line, cell, time in zip(lines, cells, found, strict=True):
        if time is None or type(time) is not kind:
            raise UserError(
                f"{where}, line {line}, {place}: {cell!r} is no {'number' if kind is Fraction else 'date'} like the "
                "others; times are numbers, or dates such as 2024-05-01 or 2024-05-01 13:00"
            )
    zones = {time.tzinfo is None for time in found if isinstance(time, datetime)}
    if len(zones) > 1:
        raise UserError(f"{where}, {place}: some dates have a time zone and others none; give all of them one")
    for i in range(1, len(found)):
        earlier, later = found[i - 1], found[i]
        if later == earlier:
            raise UserError(
                f"{where}, line {lines[i]}, {place}: {cells[i]!r} is there twice; keep one row for each time"
            )
        if later < earlier:  # type: ignore[operator]
            raise UserError(
                f"{where}, line {lines[i]}, {place}: {cells[i]!r} comes after {cells[i - 1]!r}; sort the rows by time"
            )
    return _even(found, cells, lines, column, where)


def _even(
    found: Sequence[Fraction | datetime | None], cells: Sequence[str], lines: Sequence[int], column: str, where: str
) -> Times:
    first = found[0]
    if isinstance(first, datetime):
        dates = [time for time in found if isinstance(time, datetime)]
        form = _form(cells[0], dates)
        seconds = [Fraction(str((time - first).total_seconds())) for time in dates]
        day = max(time.day for time in dates)
        ends = all(time.day == min(day, calendar.monthrange(time.year, time.month)[1]) for time in dates)
        monthly = ends and len({(time.hour, time.minute, time.second, time.microsecond) for time in dates}) == 1
        step = _common([b - a for a, b in pairwise(seconds)])
        places = _places(seconds, step)
        if places is None and monthly:
            months = [Fraction(time.year * _MONTHS + time.month) for time in dates]
            step = _common([b - a for a, b in pairwise(months)])
            by_month = _places([month - months[0] for month in months], step)
            if by_month is not None:
                last = all(time.day == calendar.monthrange(time.year, time.month)[1] for time in dates)
                return Times(first, step, "month", form, 31 if last else day, by_month)
        unit = "second"
    else:
        numbers = [time for time in found if isinstance(time, Fraction)]
        seconds, form, unit = [time - numbers[0] for time in numbers], "", "number"
        step = _common([b - a for a, b in pairwise(seconds)])
        places = _places(seconds, step)
    if places is None:
        odd = next(i for i in range(1, len(seconds)) if ((seconds[i] - seconds[i - 1]) / step).denominator != 1)
        usual = f"{float(step):g}{' s' if unit == 'second' else ''}"
        raise UserError(
            f"{where}, line {lines[odd]}, column {column!r}: {cells[odd]!r} is no whole number of steps after "
            f"{cells[odd - 1]!r}, where a step is {usual}: a series has even times; resample it first"
        )
    assert first is not None
    return Times(first, step, unit, form, 0, places)


def _common(steps: Sequence[Fraction]) -> Fraction:
    """The step that most rows make; 1 of a single row."""
    return Counter(steps).most_common(1)[0][0] if steps else Fraction(1)


def _places(offsets: Sequence[Fraction], step: Fraction) -> tuple[int, ...] | None:
    """The places on a grid of the step; None where some are off it."""
    ratios = [offset / step for offset in offsets]
    return tuple(int(ratio) for ratio in ratios) if all(ratio.denominator == 1 for ratio in ratios) else None


def _form(cell: str, dates: Sequence[datetime]) -> str:
    """How the file writes its dates, as well as `strftime` can say it."""
    text = cell.strip()
    if len(text) <= 10:
        return "%Y-%m-%d" if all((d.hour, d.minute, d.second) == (0, 0, 0) for d in dates) else "%Y-%m-%d %H:%M:%S"
    form = f"%Y-%m-%d{text[10]}%H:%M"
    if any(d.second or d.microsecond for d in dates) or text.count(":") >= 2:
        form += ":%S"
    if any(d.microsecond for d in dates):
        form += ".%f"
    return form + ("%z" if dates[0].tzinfo is not None else "")
