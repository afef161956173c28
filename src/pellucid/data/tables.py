"""Tables: csv files of numbers, dates and words, missing cells included, read and written."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError, unknown
from .arrays import Dataset
from .table_codec import TableCodec
from .table_schema import MISSING, Field, infer

_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Cells:
    """Rows of a csv file as numbers.

    Attributes:
        values: (N, fields) as `Field.parse` gives them, NaN where a cell is missing or its column is.
        header: the file's columns, in its order.
        lines: the number of each row's line, (N,).
    """

    values: NDArray[np.float64]
    header: tuple[str, ...]
    lines: tuple[int, ...]

    def beyond(self, fields: Sequence[Field]) -> list[str]:
        """What lies outside the range that its column was seen to have, a sentence each."""
        told = []
        for j, field in enumerate(fields):
            if field.numeric:
                column = self.values[:, j]
                for i in np.flatnonzero((column < field.values[0]) | (column > field.values[-1])):
                    low, high = field.write(field.values[0]), field.write(field.values[-1])
                    told.append(
                        f"line {self.lines[i]}: {field.write(column[i])} in the column {field.name!r}, whose values "
                        f"run from {low} to {high}"
                    )
        return told


def open_table(path: str | Path, *, kinds: Mapping[str, str] | None = None) -> Dataset:
    """The rows of a csv file with a header, separated by commas, semicolons, tabs or bars.

    Args:
        path: the file, in UTF-8.
        kinds: column to kind, where it should not be inferred: number, integer, date, category, or "left out".

    Raises:
        UserError: no table, rows of different lengths, a name that two columns share or none has, a kind that does not
            fit, or nothing to model: with its place.
    """
    header, rows = read_rows(path)
    for name in kinds or {}:
        if name not in header:
            raise unknown(f"column of {path}", name, header)
    fields = tuple(infer(name, [row[j] for _, row in rows], (kinds or {}).get(name)) for j, name in enumerate(header))
    codec = TableCodec(fields)
    if not codec.shape[0]:
        raise UserError(f"{path} has no column to learn from: all are constant, missing or names")
    cells = np.full((len(rows), len(fields)), np.nan)
    for j, field in enumerate(fields):
        if field.numeric or field.kind == "category":
            cells[:, j] = [field.parse(row[j], f"{path}, line {line}") for line, row in rows]
    name = Path(path).name.partition(".")[0]
    return Dataset(codec.pack(cells), None, (), codec, name, notes=_notes(fields, rows))


def read_cells(path: str | Path, fields: Sequence[Field]) -> Cells:
    """The rows of a csv file in terms of columns that are known already.

    Args:
        path: the file; it may lack columns, and have them in another order.
        fields: of the table that was learned from.

    Raises:
        UserError: as `open_table`; a column that is not known, or a cell that its column cannot have: with its place.
    """
    header, rows = read_rows(path)
    names = [field.name for field in fields]
    values = np.full((len(rows), len(fields)), np.nan)
    for j, name in enumerate(header):
        if name not in names:
            raise unknown(f"column of {path}", name, names)
        field = fields[names.index(name)]
        if field.numeric or field.kind == "category":
            found = [field.parse(row[j], f"{path}, line {line}") for line, row in rows]
            values[:, names.index(name)] = found
    return Cells(values, tuple(header), tuple(line for line, _ in rows))


def open_rows(path: str | Path, codec: TableCodec) -> Dataset:
    """The rows of a csv file in the columns of another table; it has all that are learned from.

    Raises:
        UserError: as `read_cells`; a column that the file lacks, or a number beyond the range of its column.
    """
    cells = read_cells(path, codec.fields)
    for told in cells.beyond(codec.fields):
        raise UserError(f"{path}, {told}: the model knows of none")
    for field in codec.fields:
        if field.name not in cells.header and (field.numeric or field.kind == "category"):
            raise UserError(f"{path} has no column {field.name!r}, which the table that was learned from has")
    for j, field in enumerate(codec.fields):
        gone = np.flatnonzero(np.isnan(cells.values[:, j]))
        if len(gone) and not field.missing and (field.numeric or field.kind == "category"):
            raise UserError(
                f"{path}, line {cells.lines[gone[0]]}: a cell is missing in the column {field.name!r}, where none was "
                "in the table that was learned from"
            )
    return Dataset(codec.pack(cells.values), None, (), codec, Path(path).stem)


def write_table(path: Path, codec: TableCodec, packed: NDArray[np.float32]) -> None:
    """Writes packed rows as a csv file with the columns of the one that was learned from; the file must be new."""
    write_rows(path, [field.name for field in codec.fields], codec.rows(packed))


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes cells as a csv file, which must be new."""
    with path.open("x", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(header)
        out.writerows(rows)


def read_rows(path: str | Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a csv file, and each row's line number and cells; errors are those of `open_table`."""
    try:
        opened = gzip.open if Path(path).suffix == ".gz" else open
        with opened(path, "rt", newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter_of(first))
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except UnicodeDecodeError:
        raise UserError(f"{str(path)!r} is not a text file in UTF-8; save the table as csv in UTF-8") from None
    except (OSError, csv.Error) as error:
        raise UserError(f"{str(path)!r} cannot be read as csv: {error}") from None
    if len(lines) < 2:
        raise UserError(f"{str(path)!r} has no rows below its header; give one row for each item")
    (_, header), *rows = lines
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice or "" in header:
        raise UserError(f"{path}: {'a column has no name' if '' in header else f'two columns are called {twice[0]!r}'}")
    for number, row in rows:
        if len(row) != len(header):
            raise UserError(f"{path}, line {number}: {len(row)} cells where the header has {len(header)}")
    return header, rows


def delimiter_of(header: str) -> str:
    """What separates the cells of a csv file, by its first line."""
    return max(_DELIMITERS, key=header.count)


def _notes(fields: Sequence[Field], rows: Sequence[tuple[int, list[str]]]) -> tuple[str, ...]:
    notes = []
    for j, field in enumerate(fields):
        if field.kind == "constant":
            notes.append(f"the column {field.name!r} always says {field.cell!r}: it is written out, not learned")
        if field.kind == "left out":
            words = {row[j] for _, row in rows}
            empty = all(word.lower() in MISSING for word in words)
            why = "is all missing" if empty else f"has {len(words):,} different texts in {len(rows):,} rows: names"
            notes.append(f"the column {field.name!r} {why}; it is left empty (to learn it, say what kind it is)")
    return tuple(notes)
