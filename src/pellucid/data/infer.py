"""From the columns of a table to conditions: each column's kind from its name and cells, where it is not told.

caption, text, prompt or description     text
numbers                                  a vector of one
names of picture files                   items, in folders of pictures
cells with a semicolon, "a; b"           tags
few distinct short cells                 a class
all else                                 text
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from ..foundations.errors import UserError, unknown
from .arrays import Dataset
from .column import Column
from .columns import COLUMNS, notes_of, number, states_column

NONE, ITEMS = "none", "items"
_TEXTS = ("caption", "captions", "text", "prompt", "description")
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
_SHORT, _FEW = 30, 256  # letters of a class's name, classes

Maker = Callable[[str, Sequence[str]], Column]


@dataclass(frozen=True)
class ColumnKinds:
    """What columns become as conditions.

    Attributes:
        kinds: of a column, by its name: class, tags, vector, text or items; "none" leaves it out.
        text_model: folder of a frozen text model that reads the texts; a vocabulary is learned from them if None.

    Raises:
        UserError: a kind that does not exist.
    """

    kinds: Mapping[str, str] = field(default_factory=dict)
    text_model: str | None = None

    def __post_init__(self) -> None:
        for kind in self.kinds.values():
            if kind not in (*COLUMNS, ITEMS, NONE):
                raise unknown("kind of condition", kind, [*COLUMNS, ITEMS, NONE])

    def check(self, names: Sequence[str]) -> None:
        """Refuses a kind that is told of a column that is not there."""
        for name in self.kinds:
            if name not in names:
                raise unknown("column in data.conditions", name, names)

    def column(self, name: str, cells: Sequence[str], items: Maker | None = None) -> Column | None:
        """A column from its cells; None where it is left out, or holds nothing.

        Args:
            name: as the file has it.
            cells: a text for each item, empty where there is none.
            items: makes a column of pictures from their file names; None where there can be none.
        """
        kind = self.kinds.get(name) or infer(name, cells, pictures=items is not None)
        if kind == NONE:
            return None
        if kind == ITEMS and items is None:
            raise UserError(f"the column {name!r} cannot be items: its cells name no pictures of a folder")
        if kind == "text" and self.text_model is not None:
            return states_column(plain_name(name), cells, self.text_model)
        make = items if kind == ITEMS and items is not None else COLUMNS[kind]
        return make(plain_name(name), cells)

    def applied(self, ds: Dataset) -> Dataset:
        """A data set that is open, without the columns that are left out, its texts read by the text model.

        Raises:
            UserError: another kind for a column that has one, or a text model where there is no text.
        """
        self.check([column.part.name for column in ds.columns])
        for name, kind in self.kinds.items():
            if kind != NONE:
                raise UserError(f"{name} of {ds.name} is what it is: only {NONE!r} can be said of it, to leave it out")
        kept = [column for column in ds.columns if self.kinds.get(column.part.name) != NONE]
        if self.text_model is not None and not any(column.words is not None for column in kept):
            raise UserError(f"{ds.name} has no texts that the text model could read: leave data.text_model out")
        made = [
            column
            if column.words is None or self.text_model is None
            else states_column(column.part.name, column.words.tolist(), self.text_model)
            for column in kept
        ]
        return replace(ds, columns=tuple(made))

    def columns(
        self, table: Mapping[str, Sequence[str]], items: Maker | None = None
    ) -> tuple[tuple[Column, ...], list[str]]:
        """The columns of a table, name -> cells, and what a person should know of them."""
        self.check(list(table))
        made = [(name, self.column(name, cells, items)) for name, cells in table.items()]
        found = tuple(column for _, column in made if column is not None)
        notes = [f"{name}: no item has one, so it is left out" for name, cells in table.items() if not any(cells)]
        return found, notes + [note for column in found for note in notes_of(column)]


def infer(name: str, cells: Sequence[str], *, pictures: bool = False) -> str:
    """The kind of a column, by the table at the top of this module; "none" where all cells are empty."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    if not filled:
        return NONE
    if name.strip().lower() in _TEXTS:
        return "text"
    if all(number(cell) is not None for cell in filled):
        return "vector"
    if pictures and all(PurePosixPath(cell).suffix.lower() in _PICTURES for cell in filled):
        return ITEMS
    if any(";" in cell for cell in filled):
        return "tags"
    distinct = set(filled)
    if len(distinct) <= min(_FEW, max(2, len(filled) // 2)) and max(map(len, distinct)) <= _SHORT:
        return "class"
    return "text"


def plain_name(name: str) -> str:
    """The name as a plain word: "hair colour" is hair_colour."""
    word = re.sub(r"\W+", "_", name.strip()).strip("_")
    return word if word[:1].isidentifier() else f"_{word}"
