"""Builders of columns, by kind: from what a file's cells say, or from arrays, to values with a part that reads them.

An empty cell is a missing value; a network is told "none" for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from . import text_model, vocabulary
from .arrays import encode_labels
from .codecs import Codec, points_codec
from .column import Column
from .conditions import Part
from .encoding import tags_of
from .rows import Rows

LONGEST = 64  # pieces of a text; what goes beyond is cut off
_MULTIPLE = 8  # a text's length is rounded up to this, so that a slightly longer one can be asked for


def class_column(name: str, cells: Sequence[str]) -> Column:
    """One of the names that occur, in the order of `encode_labels`; an empty cell is none."""
    known = _filled(cells)
    ids = np.zeros(len(cells), np.int64)
    ids[known], names = encode_labels(np.array([cell.strip() for cell in cells])[known])
    return Column(Part(name, "class", names), ids, _or_none(known))


def tags_column(name: str, cells: Sequence[str]) -> Column:
    """Any of the tags that occur, "a; b"; an empty cell is none, as what has no tags cannot be told from it."""
    known = _filled(cells)
    rows = [tags_of(cell) for cell in cells]
    names = tuple(sorted({tag for row in rows for tag in row}))
    place = {tag: number for number, tag in enumerate(names)}
    values = np.zeros((len(cells), len(names)), np.uint8)
    for value, row in zip(values, rows, strict=True):
        value[[place[tag] for tag in row]] = 1
    return Column(Part(name, "tags", names, (len(names),)), values, _or_none(known))


def vector_column(name: str, values: NDArray[Any], names: Sequence[str] = ()) -> Column:
    """Numbers (N,) or (N, V), standardised component by component; a row that holds NaN is none.

    Raises:
        UserError: an infinite value, or no row without NaN.
    """
    table = np.asarray(values, np.float64).reshape(len(values), -1)
    known = np.asarray(~np.isnan(table).any(1))
    if np.isinf(table).any():
        raise UserError(f"the column {name!r} holds an infinite value: leave such cells empty")
    if not known.any():
        raise UserError(f"the column {name!r} has no number in it: leave it out")
    codec = points_codec(table[known])
    width = table.shape[1]
    titles = tuple(names) or ((name,) if width == 1 else tuple(f"{name}_{i}" for i in range(width)))
    details = {"mean": list(codec.mean), "std": list(codec.std)}
    scaled = (table - np.array(codec.mean)) / np.array(codec.std)
    return Column(Part(name, "vector", titles, (width,), details), scaled.astype(np.float32), _or_none(known))


def text_column(name: str, cells: Sequence[str]) -> Column:
    """Sentences, by a vocabulary learned from them; an empty cell is none.

    Raises:
        UserError: not one sentence.
        MissingExtra: the package tokenizers is not installed.
    """
    texts, known = _texts(name, cells)
    words = vocabulary.learn(texts[known])
    found = vocabulary.pieces(words, texts.tolist())
    length = _length(max(map(len, found)))
    values = np.zeros((len(texts), length), np.int32)
    for value, row in zip(values, found, strict=True):
        value[: len(row)] = row[:length]
    details = {"vocabulary": words, "pieces": vocabulary.size(words)}
    return Column(Part(name, "text", (), (length,), details), values, _or_none(known), texts)


def states_column(name: str, cells: Sequence[str], model: str | Path) -> Column:
    """Sentences, by the last hidden states of a frozen text model in a folder; an empty cell is none.

    Raises:
        UserError: not one sentence, or a folder without such a model.
        MissingExtra: the package transformers is not installed.
    """
    texts, known = _texts(name, cells)
    details = text_model.describe(model)
    distinct, which = np.unique(texts, return_inverse=True)
    length = _length(max(text_model.lengths(details, distinct.tolist())))
    values = text_model.cached_states(details, distinct.tolist(), length)
    part = Part(name, "states", (), (length, details["width"]), details)
    return Column(part, Rows(values, which.astype(np.int64)), _or_none(known), texts)


def items_column(name: str, items: NDArray[Any], codec: Codec, known: NDArray[np.bool_] | None = None) -> Column:
    """Other pictures, signals or points (N, *shape), which the codec encodes."""
    return Column(Part(name, "items", (), codec.shape, {"codec": codec.to_json()}), items, known)


COLUMNS: Registry[Callable[[str, Sequence[str]], Column]] = Registry(
    "kind of condition",
    {
        "class": class_column,
        "tags": tags_column,
        "vector": lambda name, cells: vector_column(name, _numbers(name, cells)),
        "text": text_column,
    },
)


def notes_of(column: Column) -> list[str]:
    """What a person should know of a column, a sentence each: what is missing, what was cut off."""
    notes = []
    missing = 0 if column.known is None else int((~column.known).sum())
    if missing:
        notes.append(f"{column.part.name}: {missing} of {len(column)} items have none, and are learned without it")
    if column.part.kind in ("text", "states") and column.words is not None:
        texts, details = column.words.tolist(), column.part.details
        if column.part.kind == "text":
            counts = list(map(len, vocabulary.pieces(details["vocabulary"], texts)))
        else:
            counts = text_model.lengths(details, texts)
        over = sum(count > column.part.shape[0] for count in counts)
        if over:
            notes.append(
                f"{column.part.name}: {over} texts of more than {column.part.shape[0]} pieces are cut off there"
            )
    return notes


def number(cell: str) -> float | None:
    """The number that a cell holds, or None."""
    try:
        return float(cell)
    except ValueError:
        return None


def _numbers(name: str, cells: Sequence[str]) -> NDArray[np.float64]:
    found = [number(cell) if cell.strip() else math.nan for cell in cells]
    for cell, value in zip(cells, found, strict=True):
        if value is None:
            raise UserError(f"the column {name!r} holds {cell!r}, where a number belongs")
    return np.array(found, np.float64)


def _texts(name: str, cells: Sequence[str]) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    known = _filled(cells)
    if not known.any():
        raise UserError(f"the column {name!r} has no text in it: leave it out")
    return np.array([cell.strip() for cell in cells]), known


def _filled(cells: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([bool(cell.strip()) for cell in cells], dtype=bool)


def _or_none(known: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    return None if known.all() else known


def _length(longest: int) -> int:
    return min(LONGEST, -(-max(1, longest) // _MULTIPLE) * _MULTIPLE)
