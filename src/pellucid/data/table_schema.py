r"""What the columns of a table are, read off their cells: numbers, integers, dates, categories, and what is left out.

A column of numbers is modelled through its normal scores: with F its law, z = Phi^-1(F(v)), a standard normal variable
whatever the column's scale, skew or bounds, and back by v = F^-1(Phi(z)), which never leaves the range that was seen.
F is kept as its quantiles. A value that many cells share (an atom, such as 0 in a column of amounts) owns the whole
step of F that belongs to it: every z in the step gives exactly that value back, so atoms keep their shares.

Whatever is written is rounded, so a cell stands for an interval of values and thereby for one of levels u = F(v), its
`span`. Drawn evenly from the spans of a column's cells, u is uniform and z normal; a cell is as probable as its span.

A missing cell is a value of its own: one more category of a category, a flag beside a number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..foundations.errors import UserError, unknown
from .natural import natural

KINDS = ("number", "integer", "date", "category", "constant", "left out")
MISSING = ("", "na", "n/a", "nan", "null", "none", "?", "-")
_FORMATS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d", "%d.%m.%Y", "%Y-%m")
_EPOCH = datetime(1970, 1, 1)
_KNOTS = 512  # quantiles that are kept of a column
_ATOM = 0.01  # the share of cells from which a value is an atom
_FEW = 64  # distinct integers of which each is an atom
_REPEATS = 4  # or from so many cells for each: numbers that come back name things, such as the codes of places,
_NAMED = 2048  # of which there are at most so many
_CODES = 10  # distinct whole numbers, at most, that are codes of a category rather than amounts
_LISTED = 8  # categories that a sentence names
_WORDS = 100  # categories, at most: a column with more distinct words is a name, not a category


@dataclass(frozen=True)
class Field:
    """One column.

    Attributes:
        name: as in the file's header.
        kind: one of `KINDS`.
        categories: of a category, in the order of their ids.
        levels, values: of numbers: (u, v) along F^-1, both non-decreasing; an atom stands twice, at both ends of its
            step.
        decimals, least: digits behind the point: to which numbers are rounded, and how many are always written.
        step: of integers, what all of them are multiples of, as weights that were read to the next 25 grams are.
        format: of dates.
        missing: whether cells were missing: then missing ones are made too.
        cell: of a constant, what every cell says.
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    decimals: int = 0
    least: int = 0
    format: str = ""
    missing: bool = False
    cell: str = ""
    step: int = 1

    @property
    def numeric(self) -> bool:
        """Whether cells are numbers on a line."""
        return self.kind in ("number", "integer", "date")

    def scores(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Normal scores of values, NaN where they are NaN; values beyond the range take the range's end."""
        known, first = np.unique(np.array(self.values), return_index=True)
        last = len(self.values) - 1 - np.unique(np.array(self.values)[::-1], return_index=True)[1]
        levels = np.array(self.levels)
        middle = np.interp(values, known, (levels[first] + levels[last]) / 2)
        return np.asarray(torch.special.ndtri(torch.from_numpy(np.asarray(middle))).numpy())

    def spans(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The levels (low, high) between which everything is written as a value; (0, 1) where it is NaN, and equal ones
        for a value beyond the range."""
        absent = np.isnan(values)
        middle = np.where(absent, self.values[0], values)
        half = self._grain() / 2
        low = np.interp(middle - half, self.values, self.levels, left=0.0, right=1.0)
        high = np.interp(middle + half, self.values, self.levels, left=0.0, right=1.0)
        return np.where(absent, 0.0, low), np.where(absent, 1.0, high)

    def restored(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of normal scores, inside the range that was seen; integers and dates rounded."""
        shares = torch.special.ndtr(torch.from_numpy(np.asarray(scores, np.float64))).numpy()
        return self.rounded(np.interp(shares, self.levels, self.values))

    def rounded(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values to the digits of the column: those that can be written."""
        if self.kind == "number":
            return np.round(values, self.decimals)
        return np.round(values / self._grain()) * self._grain()

    def _grain(self) -> float:
        """What values are rounded to the nearest multiple of."""
        if self.kind == "date":
            return 1.0 if "%H" in self.format else 86400.0
        return self.step * 10.0**-self.decimals

    def parse(self, cell: str, where: str) -> float:
        """A cell as a number: the number, seconds since 1970, or a category's id; NaN where it is missing.

        Raises:
            UserError: a cell that is not of the column's kind, or a category that was never seen.
        """
        if cell.strip().lower() in MISSING:
            return math.nan
        if self.kind == "category":
            if cell.strip() not in self.categories:
                raise unknown(f"category of the column {self.name!r} ({where})", cell.strip(), self.categories)
            return float(self.categories.index(cell.strip()))
        found = _date(cell, self.format) if self.kind == "date" else _number(cell)
        if found is None:
            raise UserError(f"{where}: {cell!r} in the column {self.name!r}, where a {self.kind} belongs")
        return found

    def write(self, value: float) -> str:
        """A cell's text; "" where the value is NaN."""
        if self.kind == "constant":
            return self.cell
        if math.isnan(value) or self.kind == "left out":
            return ""
        if self.kind == "category":
            return self.categories[int(value)]
        if self.kind == "date":
            return (_EPOCH + timedelta(seconds=value)).strftime(self.format)
        text = f"{value:.{self.decimals}f}"
        while self.decimals > self.least and text[-1] == "0" and _decimals(text) > self.least:
            text = text[:-1]
        return text.rstrip(".") if self.least == 0 else text

    def sentence(self) -> str:
        """The kind, and the range or the categories, in words."""
        if self.kind == "constant":
            return f"constant: always {self.cell!r}"
        if self.kind == "left out":
            return self.kind
        what = f"{self.kind}, " + (
            f"{self.write(self.values[0])} to {self.write(self.values[-1])}"
            + (f" in steps of {self.step}" if self.step > 1 else "")
            if self.numeric
            else f"{len(self.categories)}: {', '.join(self.categories[:_LISTED])}"
            + (", ..." if len(self.categories) > _LISTED else "")
        )
        return f"{what}; cells may be missing" if self.missing else what

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Field:
        """The field that `to_json` wrote."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**values)


def infer(name: str, cells: Sequence[str], kind: str | None = None) -> Field:
    """The field of a column.

    - all cells missing: left out; all equal: a constant.
    - cells that read as numbers: a category where they are at most 10 different whole ones, each seen ten times on
      average; else integers where all are whole, and numbers; as dates of one format: dates.
    - words: a category where there are at most 100, each seen twice on average; else names, which are left out.

    Args:
        name: of the column.
        cells: its texts.
        kind: what it is, where that should not be inferred.

    Raises:
        UserError: a kind that the cells do not fit, with the first cell that does not.
    """
    if kind is not None and kind not in KINDS:
        raise unknown(f"kind of the column {name!r}", kind, KINDS)
    present = [cell.strip() for cell in cells if cell.strip().lower() not in MISSING]
    missing = len(present) < len(cells)
    if not present or kind == "left out":
        return Field(name, "left out", missing=missing)
    distinct = Counter(present)
    if kind == "constant" and (len(distinct) > 1 or missing):
        other = next((cell for cell in distinct if cell != present[0]), "")
        raise UserError(f"the column {name!r} is no constant: cells say {present[0]!r} and {other!r}")
    if kind == "constant" or (kind is None and len(distinct) == 1 and not missing):
        return Field(name, "constant", cell=present[0])
    if kind in (None, "number", "integer"):
        numbers = [_number(cell) for cell in distinct]
        codes = kind is None and len(distinct) <= min(_CODES, len(present) / 10) and all(map(_whole, numbers))
        if None not in numbers and not codes:
            return _numeric(name, present, missing, kind)
        if codes:
            return Field(name, "category", categories=tuple(sorted(distinct, key=natural)), missing=missing)
    if kind in (None, "date"):
        found = next((f for f in _FORMATS if all(_date(cell, f) is not None for cell in distinct)), None)
        if found is not None:
            seconds = np.array([_date(cell, found) for cell in present], np.float64)
            levels, values = _quantiles(seconds, every=len(distinct) <= _FEW)
            return Field(name, "date", levels=levels, values=values, format=found, missing=missing)
    if kind in ("number", "integer", "date"):
        wrong = next(cell for cell in distinct if (_number(cell) if kind != "date" else None) is None)
        allowed = f" (formats: {', '.join(_FORMATS)})" if kind == "date" else ""
        raise UserError(f"the column {name!r} is no {kind}{allowed}: a cell says {wrong!r}")
    if kind is None and (len(distinct) > _WORDS or len(present) < 2 * len(distinct)):
        return Field(name, "left out", missing=missing)
    return Field(name, "category", categories=tuple(sorted(distinct, key=natural)), missing=missing)


def _numeric(name: str, cells: Sequence[str], missing: bool, kind: str | None) -> Field:
    values = np.array([float(cell) for cell in cells])
    whole = bool((values == np.round(values)).all()) and kind != "number"
    if kind == "integer" and not whole:
        raise UserError(f"the column {name!r} is no integer: a cell says {values[values != np.round(values)][0]:g}")
    digits = [0] if whole else [_decimals(cell) for cell in cells]
    known = len(np.unique(values))
    named = whole and known <= max(_FEW, min(_NAMED, len(values) // _REPEATS))
    levels, knots = _quantiles(values, every=named)
    most, least = (min(12, end) for end in (max(digits), min(digits)))
    # Of few values a common divisor may be chance, and each of them is an atom anyway.
    shared = math.gcd(*map(int, set(values.tolist()))) if whole and not named else 1
    step = max(1, shared)
    return Field(name, "integer" if whole else "number", (), levels, knots, most, least, missing=missing, step=step)


def _quantiles(values: NDArray[np.float64], *, every: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(u, v) along the inverse of the values' distribution function.

    Args:
        values: the column, (N,).
        every: take each distinct value for an atom.
    """
    known, counts = np.unique(values, return_counts=True)
    upto = np.cumsum(counts) / len(values)
    below = np.concatenate([[0.0], upto[:-1]])
    atoms = np.full(len(known), every) | (counts >= max(2, _ATOM * len(values)))
    spread = np.unique(np.linspace(0, len(known) - 1, _KNOTS).round().astype(int))
    levels: list[float] = []
    knots: list[float] = []
    for i in sorted({*spread.tolist(), *np.flatnonzero(atoms).tolist()}):
        ends = (below[i], upto[i]) if atoms[i] else ((below[i] + upto[i]) / 2,)
        levels += [float(u) for u in ends]
        knots += [float(known[i])] * len(ends)
    return tuple(levels), tuple(knots)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(value: float | None) -> bool:
    return value is not None and value == round(value)


def _decimals(cell: str) -> int:
    mantissa, _, exponent = cell.lower().partition("e")
    return max(0, len(mantissa.partition(".")[2]) - (int(exponent) if exponent else 0))


def _date(cell: str, form: str) -> float | None:
    try:
        return (datetime.strptime(cell, form) - _EPOCH).total_seconds()
    except ValueError:
        return None
