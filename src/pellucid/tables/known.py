"""What is known of rows: cells as a person writes them, as columns of a state that stay as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.table_codec import TableCodec
from ..data.table_schema import Field
from ..foundations.errors import UserError, unknown
from .model import Layout


@dataclass(frozen=True)
class KnownCells:
    """Known cells of some rows.

    Attributes:
        values: packed rows (B, P), anything where nothing is known.
        known: bool (B, P).
    """

    values: Tensor
    known: Tensor

    def of(self, rows: NDArray[np.int64]) -> KnownCells:
        """Those of some rows."""
        index = torch.from_numpy(rows)
        return KnownCells(self.values[index], self.known[index])

    def states(self, layout: Layout, rows: slice) -> tuple[Tensor, Tensor]:
        """Values and what is known of some rows, as states (B, C)."""
        return layout.state(self.values[rows]), layout.state(self.known[rows])


def packed_known(codec: TableCodec, cells: NDArray[np.float64], given: NDArray[np.bool_]) -> KnownCells:
    """Known cells of rows.

    Args:
        codec: the columns.
        cells: values (B, fields), as `Field.parse` gives them; NaN is a missing cell where it is given.
        given: bool (B, fields).
    """
    scores, words, flags = [], [], []
    for j, one in enumerate(codec.fields):
        if one.numeric:
            scores.append(given[:, j] & ~np.isnan(cells[:, j]))  # a missing number has no score to know
            if one.missing:
                flags.append(given[:, j])
        elif one.kind == "category":
            words.append(given[:, j])
    known = np.stack([*scores, *words, *flags], axis=1)
    return KnownCells(torch.from_numpy(codec.pack(cells)), torch.from_numpy(known))


def cell_value(one: Field, cell: str, where: str) -> float:
    """A known cell as a number, as `Field.parse`; also within the range that the column was seen to have.

    Raises:
        UserError: what cannot be known of such a column: a value out of range, a missing cell where none was missing, a
            column that was left out, or another value of a constant one.
    """
    if one.kind == "left out":
        raise UserError(f"{where}: the column {one.name!r} was left out, so the model knows nothing of it")
    if one.kind == "constant":
        if cell.strip() != one.cell:
            raise UserError(f"{where}: the column {one.name!r} always says {one.cell!r}, so it cannot be {cell!r}")
        return math.nan
    value = one.parse(cell, where)
    if math.isnan(value):
        if not one.missing:
            raise UserError(f"{where}: the column {one.name!r} had no missing cells, so the model knows of none")
        return value
    if one.numeric and not one.values[0] <= value <= one.values[-1]:
        low, high = one.write(one.values[0]), one.write(one.values[-1])
        raise UserError(f"{where}: {cell.strip()} in the column {one.name!r}, whose values run from {low} to {high}")
    return value


def asked_cells(codec: TableCodec, where: Mapping[str, Sequence[str] | str], ids: range) -> KnownCells:
    """What rows are asked for by the names of columns.

    Args:
        codec: the columns.
        where: column to a cell, or several that rows take in turn by their number.
        ids: the rows' numbers.

    Raises:
        UserError: an unknown column, or a cell that it cannot have.
    """
    names = [one.name for one in codec.fields]
    cells = np.full((len(ids), len(names)), np.nan)
    given = np.zeros((len(ids), len(names)), np.bool_)
    for name, texts in where.items():
        if name not in names:
            raise unknown("column", name, names)
        j = names.index(name)
        several = [texts] if isinstance(texts, str) else list(texts)
        values = np.array([cell_value(codec.fields[j], str(text), f"{name}={text}") for text in several])
        cells[:, j], given[:, j] = values[np.array(ids) % len(values)], codec.fields[j].kind != "constant"
    # A cell that is not given still needs a value to be packed.
    spare = np.array([one.values[0] if one.numeric else 0.0 for one in codec.fields])
    return packed_known(codec, np.where(given, cells, spare), given)
