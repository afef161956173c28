"""A folder of pictures, read as one data set of square pictures."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..foundations.errors import UserError
from .arrays import Dataset, encode_labels
from .cache import cached, forget
from .codecs import ImageCodec
from .column import Column
from .columns import items_column
from .folder_labels import CAPTION, labels_of, read_captions, read_table, sidecars
from .images import Rejected, Unreadable, decode, quiet, read_picture
from .infer import ColumnKinds
from .survey import THREADS, Survey, choose_size, find_files, nothing_readable, survey_folder

Progress = Callable[[int, int], None]  # (done, total)

MEMORY_LIMIT = 1 << 30  # bytes of decoded pictures kept in memory; more is kept in a file of the cache
_BLOCK = 256  # pictures between two calls of the progress callback


def load_folder(
    path: str | Path,
    size: int | None = None,
    channels: int | None = None,
    labels_csv: str | Path | None = None,
    *,
    conditions: ColumnKinds | None = None,
    progress: Progress | None = None,
    survey: Survey | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> Dataset:
    """Reads a folder of pictures, sub-folders included, as uint8 (N, C, size, size).

    Each picture is read by the rules of `data.images`; the largest centred square is cut out and resized by a Lanczos
    filter that averages where it shrinks.

    Labels come from a csv with the columns file and label (`labels_csv`, or a `labels.csv` in the folder); else, where
    every picture lies in a sub-folder and there are at least two of them, from the names of the first sub-folders.
    Further columns of the csv, those of a `metadata.csv` in the folder (file_name, text, ...) and captions beside the
    pictures (a.txt for a.png) become conditions.

    Args:
        path: the folder.
        size: the side in pixels; None chooses by `choose_size`.
        channels: 1 or 3; None takes 1 if all pictures are grey, else 3.
        labels_csv: a csv of labels, whose file names are relative to the folder; "none" reads no labels at all, and no
            conditions.
        conditions: what the columns are, where their cells should not tell.
        progress: called with (done, total) now and then.
        survey: what `survey_folder` found, to spare reading the headers twice.
        memory_limit: in bytes; larger data sets are decoded once into a file of the cache and memory-mapped.

    Raises:
        UserError: nothing readable, or options or labels that do not fit.
    """
    path = Path(path)
    if size is not None and size < 1:
        raise UserError(f"the picture size must be at least 1, got {size}")
    if channels not in (None, 1, 3):
        raise UserError(f"pictures have 1 channel (grey) or 3 (colour), got {channels}")
    survey = survey or survey_folder(path, labels_csv=labels_csv)
    side = size or choose_size(survey.headers)
    table = read_table(path, labels_csv)  # before the long work, so that its mistakes are told at once
    items, good, reasons = _decoded(survey, side, channels, progress, memory_limit)
    names = survey.names()
    rejected = [*survey.rejected, *(Rejected(names[row], reason) for row, reason in reasons.items())]
    if not len(good):
        raise nothing_readable(path, rejected)
    kept = [names[row] for row in good]
    notes = []
    animated = sum(survey.headers[row].frames > 1 for row in good)
    if animated:
        notes.append(f"of {animated} pictures with several frames the first frame is taken")
    values, note = (None, None) if labels_csv == "none" else labels_of(kept, table.labels)
    notes += [note] if note else []
    strays = sorted(table.files - set(names) - {entry.path for entry in rejected})
    if strays:
        notes.append(f"{len(strays)} rows of the labels csv name no file of the folder, such as {strays[0]!r}")
    cells = {column: [known.get(name, "") for name in kept] for column, known in table.columns.items()}
    texts = {} if labels_csv == "none" else sidecars(find_files(path))
    if texts and CAPTION in cells:
        notes.append("captions come from the table; the text files beside the pictures are not read")
    elif texts:
        told = read_captions({name: texts[path / name] for name in kept if path / name in texts})
        cells[CAPTION] = [told.get(name, "") for name in kept]
    columns, remarks = (conditions or ColumnKinds()).columns(cells, partial(_beside, path, side))
    notes += remarks
    labels, label_names = (None, ()) if values is None else encode_labels(np.array(values))
    codec = ImageCodec(items.shape[1], side, side)
    rejected.sort(key=lambda entry: entry.path)
    name = path.resolve().name or "pictures"
    return Dataset(items, labels, label_names, codec, name, tuple(rejected), tuple(notes), columns=columns)


def _beside(path: Path, side: int, name: str, cells: Sequence[str]) -> Column:
    """The column of the pictures that a table's cells name, each as a square; grey where all of them are."""
    squares = {}
    for cell in sorted(set(cells) - {""}):
        if Path(os.path.normpath(cell)).is_absolute() or os.path.normpath(cell).startswith(".."):
            raise UserError(f"the picture {cell!r} in the column {name!r} lies outside {path}: put it into the folder")
        try:
            squares[cell] = square(read_picture(path / cell), side)
        except (Unreadable, OSError) as error:
            raise UserError(f"the picture {cell!r} in the column {name!r} cannot be read: {error}") from None
    channels = 1 if all(picture.mode == "L" for picture in squares.values()) else 3
    values = np.zeros((len(cells), channels, side, side), np.uint8)
    for value, cell in zip(values, cells, strict=True):
        if cell:
            picture = squares[cell] if channels == 1 else squares[cell].convert("RGB")
            value[:] = np.moveaxis(np.atleast_3d(np.asarray(picture)), -1, 0)
    known = np.array([bool(cell) for cell in cells])
    return items_column(name, values, ImageCodec(channels, side, side), None if known.all() else known)


def square(picture: Image.Image, side: int) -> Image.Image:
    """The largest centred square of a picture, resized to (side, side)."""
    short = min(picture.size)
    left, top = (picture.width - short) / 2, (picture.height - short) / 2
    box = (left, top, left + short, top + short)
    # reducing_gap: far larger pictures are first averaged over whole blocks, down to three times the size
    return picture.resize((side, side), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


# ---------------------------------------------------------------- decoding


def _decoded(
    survey: Survey, side: int, channels: int | None, progress: Progress | None, memory_limit: int
) -> tuple[NDArray[Any], NDArray[np.int64], dict[int, str]]:
    """The pictures (M, C, side, side), the rows of the survey that they are, and the reasons of the others."""
    if len(survey.files) * (channels or 3) * side * side <= memory_limit:
        items = np.empty((len(survey.files), channels or 3, side, side), np.uint8)
        reasons, grey = _fill(items, survey, side, progress)
        good = np.array([row for row in range(len(items)) if row not in reasons], np.int64)
        used = 1 if channels is None and grey else items.shape[1]
        if len(good) < len(items) or used < items.shape[1]:
            items = np.ascontiguousarray(items[good, :used])
        return items, good, reasons
    name = f"folder-{_key(survey, side, channels)}"
    write = partial(_write_cache, survey=survey, side=side, channels=channels, progress=progress)
    try:
        return _read_cache(cached(name, write))
    except (ValueError, EOFError, KeyError, FileNotFoundError):  # someone damaged it
        forget(name)
        return _read_cache(cached(name, write))


def _fill(
    items: NDArray[np.uint8], survey: Survey, side: int, progress: Progress | None
) -> tuple[dict[int, str], bool]:
    """Decodes all pictures of the survey into items; returns why rows are missing, and whether all are grey."""
    colour = items.shape[1] == 3

    def one(row: int) -> tuple[str | None, bool]:
        try:
            picture = decode(survey.files[row], at_least=2 * side)
        except Unreadable as error:
            return str(error), True
        grey = picture.mode == "L"
        if not colour and not grey:
            picture = picture.convert("L")
        items[row] = np.moveaxis(np.atleast_3d(np.asarray(square(picture, side))), -1, 0)
        return None, grey

    reasons: dict[int, str] = {}
    all_grey, total = True, len(survey.files)
    with quiet(), ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, total, _BLOCK):
            rows = range(start, min(start + _BLOCK, total))
            for row, (reason, grey) in zip(rows, pool.map(one, rows), strict=True):
                all_grey = all_grey and grey
                if reason is not None:
                    reasons[row] = reason
            if progress is not None:
                progress(rows[-1] + 1, total)
    return reasons, all_grey


def _key(survey: Survey, side: int, channels: int | None) -> str:
    """Changes with any file's name, size or time of change, and with the settings."""
    stats = [(name, os.stat(file)) for name, file in zip(survey.names(), survey.files, strict=True)]
    listing = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
    content = json.dumps([1, str(survey.path.resolve()), side, channels, listing])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _write_cache(folder: Path, *, survey: Survey, side: int, channels: int | None, progress: Progress | None) -> None:
    shape = (len(survey.files), channels or 3, side, side)
    raw = np.lib.format.open_memmap(folder / "raw.npy", mode="w+", dtype=np.uint8, shape=shape)
    reasons, grey = _fill(raw, survey, side, progress)
    good = [row for row in range(len(raw)) if row not in reasons]
    used = 1 if channels is None and grey else shape[1]
    if len(good) == len(raw) and used == shape[1]:
        raw.flush()
        (folder / "raw.npy").rename(folder / "items.npy")
    else:
        shape = (len(good), used, side, side)
        items = np.lib.format.open_memmap(folder / "items.npy", mode="w+", dtype=np.uint8, shape=shape)
        for start in range(0, len(good), _BLOCK):
            items[start : start + _BLOCK] = raw[good[start : start + _BLOCK], :used]
        items.flush()
        (folder / "raw.npy").unlink()
    (folder / "index.json").write_text(json.dumps({"good": good, "reasons": reasons}))


def _read_cache(folder: Path) -> tuple[NDArray[Any], NDArray[np.int64], dict[int, str]]:
    index = json.loads((folder / "index.json").read_text())
    items = np.load(folder / "items.npy", mmap_mode="r", allow_pickle=False)
    reasons = {int(row): str(reason) for row, reason in index["reasons"].items()}
    return items, np.array(index["good"], np.int64), reasons
