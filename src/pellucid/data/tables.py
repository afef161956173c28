"""Tables: csv files of numbers, dates and words, missing cells included, as items of a product of two kinds of data.

An item is packed into one float32 vector,

    (z_1, ..., z_n, k_1, ..., k_m)

normal scores of the n columns of numbers, then the m category ids, each exact in float32. A column of numbers with
missing cells has a flag among the categories; where it is raised, the score stands at 0 and means nothing.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..foundations.errors import UserError, unknown
from .arrays import Dataset
from .plain import Plain
from .table_schema import Field, infer

_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class TableCodec(Plain):
    """Packed rows and the cells that they stand for.

    Attributes:
        fields: every column of the file, in its order.
    """

    fields: tuple[Field, ...]
    kind: ClassVar[str] = "table"

    @property
    def numbers(self) -> tuple[Field, ...]:
        """The columns with a normal score."""
        return tuple(field for field in self.fields if field.numeric)

    @property
    def alphabets(self) -> tuple[tuple[str, int], ...]:
        """(name, number of ids) of each category: the categories of the file, "missing" last where cells are, then
        the flags of missing numbers, named after their column with a question mark."""
        words = [(f.name, len(f.categories) + f.missing) for f in self.fields if f.kind == "category"]
        return (*words, *((f"{f.name}?", 2) for f in self.numbers if f.missing))

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.numbers) + len(self.alphabets),)

    def encode(self, items: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.array(items, np.float32))

    def decode(self, x: Tensor) -> NDArray[np.float32]:
        """Packed rows (B, P) with ids that exist; `rows` writes them out."""
        packed = x.detach().float().cpu().numpy().copy()
        ids = packed[:, len(self.numbers) :]
        highest = np.array([size - 1 for _, size in self.alphabets], np.float32)
        packed[:, len(self.numbers) :] = np.clip(np.round(ids), 0, highest)
        return packed

    def pack(self, cells: NDArray[np.float64]) -> NDArray[np.float32]:
        """Values (N, fields), NaN where missing, as packed rows (N, P)."""
        columns, flags, words = [], [], []
        for j, field in enumerate(self.fields):
            value, absent = cells[:, j], np.isnan(cells[:, j])
            if field.numeric:
                columns.append(np.where(absent, 0.0, field.scores(np.where(absent, field.values[0], value))))
                if field.missing:
                    flags.append(absent.astype(np.float64))
            elif field.kind == "category":
                words.append(np.where(absent, len(field.categories), value))
        return np.stack([*columns, *words, *flags], axis=1).astype(np.float32)

    def unpack(self, packed: NDArray[np.float32]) -> NDArray[np.float64]:
        """Packed rows (N, P) as values (N, fields), NaN where missing or left out."""
        cells = np.full((len(packed), len(self.fields)), np.nan)
        at = {name: len(self.numbers) + i for i, (name, _) in enumerate(self.alphabets)}
        score = iter(range(len(self.numbers)))
        for j, field in enumerate(self.fields):
            if field.numeric:
                cells[:, j] = field.restored(packed[:, next(score)].astype(np.float64))
                if field.missing:
                    cells[packed[:, at[f"{field.name}?"]] > 0.5, j] = np.nan
            elif field.kind == "category":
                ids = packed[:, at[field.name]].astype(np.float64)
                cells[:, j] = np.where(ids < len(field.categories), ids, np.nan)
        return cells

    def rows(self, packed: NDArray[np.float32]) -> list[list[str]]:
        """Packed rows as the texts of the file's columns."""
        return [
            [field.write(value) for field, value in zip(self.fields, row, strict=True)]
            for row in self.unpack(packed).tolist()
        ]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "fields": [field.to_json() for field in self.fields]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TableCodec:
        """The codec that `to_json` wrote."""
        return cls(tuple(Field.from_json(field) for field in values["fields"]))


def load_table(path: str | Path, *, kinds: Mapping[str, str] | None = None) -> Dataset:
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
    return Dataset(codec.pack(cells), None, (), codec, Path(path).stem, notes=_notes(fields, rows))


def write_table(path: Path, codec: TableCodec, packed: NDArray[np.float32]) -> None:
    """Writes packed rows as a csv file with the columns of the one that was learned from; the file must be new."""
    with path.open("x", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow([field.name for field in codec.fields])
        out.writerows(codec.rows(packed))


def read_rows(path: str | Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a csv file, and each row's line number and cells; errors are those of `load_table`."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(_DELIMITERS, key=first.count))
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


def _notes(fields: Sequence[Field], rows: Sequence[tuple[int, list[str]]]) -> tuple[str, ...]:
    notes = []
    for j, field in enumerate(fields):
        if field.kind == "constant":
            notes.append(f"the column {field.name!r} always says {field.cell!r}: it is written out, not learned")
        if field.kind == "left out":
            words = len({row[j] for _, row in rows})
            why = "is all missing" if words == 1 else f"has {words:,} different texts in {len(rows):,} rows: names"
            notes.append(f"the column {field.name!r} {why}; it is left empty (to learn it, say what kind it is)")
    return tuple(notes)
