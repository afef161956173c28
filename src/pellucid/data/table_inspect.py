"""What the columns of a table are, in words and as settings that a person may edit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..foundations import yamlfile
from ..foundations.durable import write_atomic
from ..foundations.errors import UserError
from .arrays import Dataset
from .table_codec import TableCodec
from .table_schema import KINDS
from .table_sets import TABLES
from .tables import open_table

_SUFFIXES = (".csv", ".tsv")
_HEAD = (
    "# What each column of the table is: edit a kind and train with --config THIS.yaml.\n"
    f"# Kinds: {', '.join(KINDS)}.\n"
    "# A constant is written out as it is; what is left out is left empty.\n"
)


def table_of(source: str | Path) -> Dataset | None:
    """The table that a source may be read as; None where it is no csv file and no built-in table.

    Raises:
        UserError: a csv file that is no table, with the place.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return open_table(path) if path.suffix.lower() in _SUFFIXES else None
    return TABLES[str(source)]() if str(source) in TABLES and not path.exists() else None


def columns_in_words(table: Dataset) -> dict[str, str]:
    """Kind, range or categories, and the share of missing cells of each column, by its name."""
    codec = table.codec
    assert isinstance(codec, TableCodec)
    cells = codec.unpack(np.asarray(table.items[:]))
    told = {}
    for j, one in enumerate(codec.fields):
        gone = np.isnan(cells[:, j]).mean()
        some = f" ({100 * gone:.2g} %)" if one.missing and (one.numeric or one.kind == "category") else ""
        told[one.name] = one.sentence() + some
    return told


def write_schema(table: Dataset, file: Path) -> None:
    """Writes the kinds of a table's columns as settings, each with what it was read off as a comment.

    Raises:
        UserError: a file that exists.
    """
    codec = table.codec
    assert isinstance(codec, TableCodec)
    if file.exists():
        raise UserError(f"{file} exists, and nothing is overwritten: give another name")
    words = columns_in_words(table)
    kinds = {one.name: one.kind for one in codec.fields}
    told = {f"data.columns.{name}": text.partition(", ")[2] for name, text in words.items()}
    write_atomic(file, _HEAD + yamlfile.dump({"data": {"columns": kinds}}, told))
