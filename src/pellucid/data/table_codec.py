"""Tables: csv files of numbers, dates and words, missing cells included, as items of a product of two kinds of data.

An item is packed into one float32 vector,

    (z_1, ..., z_n, k_1, ..., k_m)

normal scores of the n columns of numbers, then the m category ids, each exact in float32. A column of numbers with
missing cells has a flag among the categories; where it is raised, the score stands at 0 and means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .plain import Plain
from .table_schema import Field


@dataclass(frozen=True)
class TableCodec(Plain):
    """Packed rows and the cells that they stand for.

    Attributes:
        fields: every column of the file, in its order.
    """

    fields: tuple[Field, ...]
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        made = tuple(f if isinstance(f, Field) else Field.from_json(f) for f in self.fields)  # as JSON gives them
        object.__setattr__(self, "fields", made)

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
    def flags(self) -> tuple[tuple[int, int], ...]:
        """(number, category) of each flag: the column of the score that it stands for, and its own among the ids."""
        names = [name for name, _ in self.alphabets]
        return tuple((i, names.index(f"{f.name}?")) for i, f in enumerate(self.numbers) if f.missing)

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

    def spans(self, packed: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`Field.spans` of each column of numbers, (N, n) each: the levels that give the cells of packed rows back."""
        cells = self.unpack(packed)
        found = [field.spans(cells[:, j]) for j, field in enumerate(self.fields) if field.numeric]
        if not found:
            return np.zeros((len(packed), 0)), np.ones((len(packed), 0))
        low, high = zip(*found, strict=True)
        return np.stack(low, axis=1), np.stack(high, axis=1)

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
