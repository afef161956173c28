"""One function that opens whatever a person calls their data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError, closest
from .arrays import Dataset
from .builtin import BUILTIN
from .files import load_csv, load_npy, load_npz
from .folder import Progress, load_folder
from .images import picture_format
from .infer import ColumnKinds
from .recognise import dataset_of_array
from .series import SERIES_SUFFIX, load_series
from .table_sets import TABLES
from .tables import open_table
from .texts import TEXT_SUFFIX, TEXTS, Reading, load_text

Labels = str | Path | NDArray[Any] | None


def open_dataset(
    source: str | Path | NDArray[Any],
    *,
    size: int | None = None,
    channels: int | None = None,
    labels: Labels = None,
    kind: str | None = None,
    reading: Reading | None = None,
    conditions: ColumnKinds | None = None,
    table: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Opens a data set.

    Args:
        source: a built-in name (see `BUILTIN`), a folder of pictures, a .npy, .npz, .csv or .txt file, or an array.
            What exists as a path is taken as a path, so "./digits" is a folder also where a built-in has its name.
        size: for folders: the side of the pictures in pixels; None chooses 16, 32 or 64.
        channels: for folders: 1 (grey) or 3 (colour); None decides by the pictures.
        labels: for folders a csv with the columns file and label; for .npy another .npy; for .npz a key; for .csv a
            column; for arrays an array (N,). "none" reads no labels, of built-in sets too. None takes what is there.
        kind: "image", "points" or "signal", for arrays that can be read in two ways.
        reading: of texts: how they become tokens.
        conditions: what the further columns of folders, .npz and .csv files are, where they should not tell themselves,
            and which frozen model reads texts.
        table: for .csv files and built-in tables: read it as a table, with these kinds of columns, by name, where they
            should not be inferred (see `open_table`).
        progress: called with (done, total) while a folder is decoded.

    Raises:
        UserError: no such data, options that do not apply, or data that cannot be read.
    """
    if table is not None:
        _refuse(
            "a table", size=size, channels=channels, labels=labels, kind=kind, reading=reading, conditions=conditions
        )
        return _table(source, table)
    if isinstance(source, np.ndarray):
        _refuse("an array", size=size, channels=channels, conditions=conditions)
        if labels is not None and not isinstance(labels, np.ndarray):
            raise UserError("the labels of an array are an array of shape (N,)")
        return dataset_of_array(source, labels, kind=kind)
    if isinstance(labels, np.ndarray):
        raise UserError(f"an array of labels goes with an array of items; {str(source)!r} is read from disk")
    path = Path(source).expanduser()
    name = str(source)
    texts = path.suffix.lower() == TEXT_SUFFIX if path.exists() else name in TEXTS
    if not texts:
        _refuse(f"{name!r}, which is no text,", reading=reading)
    if path.is_dir():
        _refuse("a folder of pictures", kind=None if kind == "image" else kind)
        return load_folder(path, size, channels, labels, conditions=conditions, progress=progress)
    if path.is_file():
        _refuse(f"the file {str(source)!r}", size=size, channels=channels)
        if texts:
            _refuse(f"the text {str(source)!r}", conditions=conditions)
            return load_text(path, reading or Reading())
        return _open_file(path, labels, kind, conditions)
    if name in BUILTIN:
        others = None if labels == "none" else labels
        _refuse(f"the built-in {name!r}", size=size, channels=channels, labels=others, kind=kind)
        found = TEXTS[name](reading) if texts else BUILTIN[name]()
        found = found if conditions is None else conditions.applied(found)
        return replace(found, labels=None, label_names=()) if labels == "none" else found
    raise _no_data(name, path)


def _table(source: str | Path | NDArray[Any], kinds: Mapping[str, str]) -> Dataset:
    if isinstance(source, np.ndarray):
        raise UserError("a table is a .csv file with a header, or built in; an array has no names of columns")
    path, name = Path(source).expanduser(), str(source)
    if path.is_file():
        if path.suffix.lower() not in (".csv", ".tsv"):
            raise UserError(f"a table is a .csv or .tsv file with a header, and {name!r} is none: save it as csv")
        return open_table(path, kinds=kinds)
    if name in TABLES and not path.exists():
        return TABLES[name](kinds)
    if name in BUILTIN or path.is_dir():
        raise UserError(f"{name!r} is no table: give a .csv file with a header, or one of {', '.join(TABLES)}")
    raise _no_data(name, path)


def _open_file(path: Path, labels: str | Path | None, kind: str | None, conditions: ColumnKinds | None) -> Dataset:
    suffix = path.suffix.lower()
    word = None if labels is None else str(labels)
    if suffix == ".npy":
        _refuse(f"the file {str(path)!r}", conditions=conditions)
        return load_npy(path, labels=word, kind=kind)
    if suffix == ".npz":
        return load_npz(path, labels=word, kind=kind, conditions=conditions)
    if suffix in (".csv", ".tsv"):
        _refuse(f"the file {str(path)!r}", kind=None if kind == "points" else kind)
        return load_csv(path, labels=word, conditions=conditions)
    if suffix == SERIES_SUFFIX:
        others = None if labels == "none" else labels
        _refuse(
            f"the file {str(path)!r}", labels=others, kind=None if kind == "signal" else kind, conditions=conditions
        )
        found = load_series(path)
        return replace(found, labels=None, label_names=()) if labels == "none" else found
    with path.open("rb") as file:
        if picture_format(file.read(16)):
            raise UserError(f"{str(path)!r} is one picture; give the folder that holds all of them")
    raise UserError(
        f"cannot tell what {str(path)!r} holds; .npy, .npz, .csv, .ts and .txt files and folders of pictures are read"
    )


def _refuse(what: str, **options: object) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UserError(f"{what} takes no {' and no '.join(given)}; leave that out")


def _no_data(name: str, path: Path) -> UserError:
    """Names the nearest of the built-in sets and of what lies in the same folder."""
    beside: list[str] = []
    if path.parent.is_dir():
        beside = [str(path.parent / entry.name) for entry in path.parent.iterdir() if not entry.name.startswith(".")]
    near = closest(name, [*BUILTIN, *beside])
    hint = f"did you mean {near!r}? " if near else ""
    return UserError(
        f"no data {name!r}: it is neither a file or folder nor built in; {hint}"
        f"Built in: {', '.join(sorted(BUILTIN))}; or give a folder of pictures, a .npy, .npz, .csv or .txt file"
    )
