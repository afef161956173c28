"""Files that hold arrays or points: .npy, .npz and .csv. Nothing is unpickled."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError
from .arrays import Dataset
from .cells import cells_of
from .column import Column
from .columns import items_column, notes_of, number, vector_column
from .infer import ITEMS, NONE, ColumnKinds, plain_name
from .recognise import dataset_of_array

ITEM_KEYS = ("images", "x", "data", "items")
LABEL_KEYS = ("labels", "y")
SQUEEZED, BIG = 200, 1 << 28  # an entry of so many bytes that was squeezed by so much is a bomb, and no data
MAP_ABOVE = 1 << 30  # bytes; a larger .npy stays on disk, memory-mapped
_DELIMITERS = (",", ";", "\t")


def load_npy(
    path: str | Path, *, labels: str | Path | None = None, kind: str | None = None, missing: bool = False
) -> Dataset:
    """A data set of a .npy file, memory-mapped above 1 GiB; `labels` names another .npy, or is None. `missing` as of
    `dataset_of_array`."""
    path = Path(path)
    array = _load_npy(path, map_above=MAP_ABOVE)
    values = None if labels in (None, "none") else _load_npy(Path(str(labels)), map_above=None)
    return dataset_of_array(array, values, kind=kind, name=path.stem, missing=missing)


def load_npz(
    path: str | Path,
    *,
    labels: str | None = None,
    kind: str | None = None,
    conditions: ColumnKinds | None = None,
    missing: bool = False,
) -> Dataset:
    """A data set of a .npz file: items under images, x, data or items; labels, if any, under labels or y.

    A file with a single array needs no such name. `labels` names the key of the labels, or is "none". Further arrays
    with a value for each item are conditions: words by their kind, numbers (N,) and (N, V) as vectors, and what is
    itself items (pictures, signals) as that. `missing` as of `dataset_of_array`.
    """
    path = Path(path)
    kinds = conditions or ColumnKinds()
    try:
        # opened here, because NumPy leaves a damaged file open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            _refuse_bombs(archive.zip, path)
            keys = list(archive.files)
            label_key = _label_key(keys, labels, path)
            items_key = _items_key([key for key in keys if key != label_key and key not in LABEL_KEYS], path)
            items, values = archive[items_key], None if label_key is None else archive[label_key]
            others = {key: archive[key] for key in keys if key not in (items_key, label_key, *LABEL_KEYS)}
    except UserError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError, AttributeError, MemoryError) as error:
        raise _not_loaded(path, error) from error
    found = dataset_of_array(items, values, kind=kind, name=path.stem, missing=missing)
    others = {key: array for key, array in others.items() if array.shape[:1] == (len(found),)}
    kinds.check(list(others))
    return _with_columns(found, [_array_column(key, array, kinds) for key, array in others.items()])


def load_csv(path: str | Path, *, labels: str | None = None, conditions: ColumnKinds | None = None) -> Dataset:
    """Points of a csv file: one row a point, one column a coordinate, separated by commas, semicolons or tabs.

    A first row that is not all numbers is taken as the header. A column named label (any case), or the one that
    `labels` names, holds the labels; "none" drops it. Other columns without one number in them are conditions, as are
    those that `conditions` names. Any other cell that is empty, not a number, NaN or infinite is refused with its line
    and column.
    """
    path = Path(path)
    kinds = conditions or ColumnKinds()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{str(path)!r} is not a text file in UTF-8; save the table as csv in UTF-8") from error
    lines = [(place, line) for place, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise UserError(f"{str(path)!r} is empty; give one row for each point")
    delimiter = max(_DELIMITERS, key=lines[0][1].count)
    rows = [(n, cells_of(line, delimiter, path=path, number=n)) for n, line in lines]
    has_header = any(number(cell) is None for cell in rows[0][1])
    width = len(rows[0][1])
    header = tuple(rows[0][1]) if has_header else tuple(f"column {i + 1}" for i in range(width))
    rows = rows[1:] if has_header else rows
    if not rows:
        raise UserError(f"{str(path)!r} has a header and no rows; give one row for each point")
    at = _label_column(header, labels, has_header, path)
    for line, cells in rows:
        if len(cells) != width:
            raise UserError(f"{path}, line {line}: {len(cells)} cells where the first row has {width}")
    told = [j for j in range(width) if j != at and (header[j] in kinds.kinds or _worded([row[j] for _, row in rows]))]
    kinds.check([column for j, column in enumerate(header) if j != at])
    points = [j for j in range(width) if j != at and j not in told]
    values = np.empty((len(rows), len(points)), np.float64)
    words: list[str] = []
    for i, (line, cells) in enumerate(rows):
        if at is not None:
            words.append(cells[at])
            if not cells[at]:
                raise UserError(f"{path}, line {line}: the label in column {header[at]!r} is missing")
        values[i] = [_cell(cells[j], header[j], line, path) for j in points]
    if not values.shape[1]:
        raise UserError(f"{path} has no column of numbers")
    columns = tuple(header[j] for j in points)
    drop = at is None or labels == "none"
    found = dataset_of_array(values, None if drop else np.array(words), kind="points", name=path.stem, columns=columns)
    return _with_columns(found, [kinds.column(header[j], [row[j] for _, row in rows]) for j in told])


def read_array(path: str | Path) -> NDArray[Any]:
    """The array of a .npy file, as it is; a UserError where there is none."""
    return _load_npy(Path(path), map_above=None)


def _load_npy(path: Path, map_above: int | None) -> NDArray[Any]:
    try:
        _refuse_short(path)
        large = map_above is not None and path.stat().st_size > map_above
        loaded = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError) as error:
        raise _not_loaded(path, error) from error
    if not isinstance(loaded, np.ndarray):
        loaded.close()
        raise UserError(f"{str(path)!r} holds several arrays; name it .npz")
    return loaded


def _refuse_short(path: Path) -> None:
    """Refuses a .npy file whose header promises more than there is, before memory is asked for."""
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            return
        file.seek(0)
        version = np.lib.format.read_magic(file)
        reads = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reads(file)
        there = path.stat().st_size - file.tell()
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > there:
        raise ValueError(f"its header promises {math.prod(shape):,} values of {dtype}, and {there:,} bytes follow")


def _refuse_bombs(archive: zipfile.ZipFile, path: Path) -> None:
    for entry in archive.infolist():
        if entry.file_size > max(BIG, SQUEEZED * entry.compress_size):
            raise UserError(
                f"{str(path)!r}: {entry.filename!r} would grow from {entry.compress_size:,} to {entry.file_size:,} "
                f"bytes, more than {SQUEEZED} times, and is taken for a bomb; if it is data, save it as .npy"
            )


def _with_columns(ds: Dataset, columns: Sequence[Column | None]) -> Dataset:
    """The data set with columns, and what a person should know of them."""
    found = tuple(column for column in columns if column is not None)
    notes = [note for column in found for note in notes_of(column)]
    return replace(ds, columns=found, notes=(*ds.notes, *notes)) if found else ds


def _array_column(key: str, array: NDArray[Any], kinds: ColumnKinds) -> Column | None:
    """What an array beside the items says of them."""
    asked = kinds.kinds.get(key)
    if asked == NONE:
        return None
    if array.dtype.kind in "US" or (asked not in (None, "vector", ITEMS) and array.ndim == 1):
        words = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
        return kinds.column(key, words.astype(str).tolist())
    if array.dtype.kind not in "biuf" or asked not in (None, "vector", ITEMS):
        raise UserError(
            f"the array {key!r} of {array.dtype} and shape {array.shape} cannot be {asked or 'a condition'}"
        )
    if array.ndim <= 2 and asked != ITEMS:
        return vector_column(plain_name(key), array)
    found = dataset_of_array(array, name=key)
    return items_column(plain_name(key), np.asarray(found.items), found.codec)


def _worded(cells: Sequence[str]) -> bool:
    """Whether a column holds words and no numbers."""
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(number(cell) is None for cell in filled)


def _not_loaded(path: Path, error: Exception) -> UserError:
    if not path.exists():
        return UserError(f"no file {str(path)!r}")
    if "allow_pickle" in str(error) or "pickled" in str(error):
        return UserError(
            f"{str(path)!r} holds Python objects (or is no NumPy file), and reading these can run code; save plain "
            "arrays of numbers, and labels as integers or words"
        )
    return UserError(f"{str(path)!r} cannot be read as NumPy arrays, it is damaged or cut short: {error}")


def _label_key(keys: list[str], asked: str | None, path: Path) -> str | None:
    if asked == "none":
        return None
    if asked is not None:
        if asked not in keys:
            raise UserError(f"{str(path)!r} has no array {asked!r} for the labels; it has: {', '.join(keys)}")
        return asked
    found = [key for key in LABEL_KEYS if key in keys]
    if len(found) > 1:
        raise UserError(
            f"{str(path)!r} has both {' and '.join(found)}; say which holds the labels: labels={found[0]!r}"
        )
    return found[0] if found else None


def _items_key(keys: list[str], path: Path) -> str:
    found = [key for key in ITEM_KEYS if key in keys]
    if len(found) == 1:
        return found[0]
    if not found and len(keys) == 1:
        return keys[0]
    raise UserError(
        f"cannot tell which array of {str(path)!r} holds the items among: {', '.join(found or keys) or 'none'}; save "
        f"it with exactly one of the names {', '.join(ITEM_KEYS)} (and labels as {' or '.join(LABEL_KEYS)})"
    )


def _label_column(header: tuple[str, ...], asked: str | None, has_header: bool, path: Path) -> int | None:
    lowered = [column.lower() for column in header]
    if asked in (None, "none"):
        return lowered.index("label") if has_header and "label" in lowered else None
    if str(asked) not in header:
        raise UserError(f"{path} has no column {asked!r} for the labels; it has: {', '.join(header)}")
    return header.index(str(asked))


def _cell(cell: str, column: str, line: int, path: Path) -> float:
    value = number(cell)
    if value is None or not math.isfinite(value):
        what = "is empty" if not cell else f"holds {cell!r}"
        raise UserError(
            f"{path}, line {line}, column {column!r} {what}, where a finite number belongs; remove or fill such rows, "
            "and name a column of words with labels=COLUMN"
        )
    return value
