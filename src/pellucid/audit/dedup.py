"""A data set without its near-duplicates: a list of files for a folder, a new file for an array. The original stays."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.arrays import Dataset
from ..data.open import open_dataset
from ..data.survey import survey_folder
from ..data.tokens import TokenCodec
from ..foundations.errors import UserError
from .duplicates import Duplicates, find_duplicates, grouped
from .verbatim import row_keys

_SHOWN = 200


@dataclass(frozen=True)
class Cleaned:
    """What was written.

    Attributes:
        path: the new file: of a folder a csv with the columns file, kept and like; of an array as the original.
        num: items there were.
        groups: of near-duplicates, by the items' places, the one that is kept first.
        ratio: how near is near, see `duplicates`.
    """

    path: Path
    num: int
    groups: tuple[tuple[int, ...], ...]
    ratio: float

    @property
    def removed(self) -> int:
        """How many items went."""
        return sum(len(group) - 1 for group in self.groups)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        kept = self.num - self.removed
        groups = [list(group) for group in self.groups[:_SHOWN]]
        return {"path": str(self.path), "items": self.num, "kept": kept, "removed": self.removed, "groups": groups}


def dedup(
    source: str | Path, out: str | Path, *, ratio: float | None = None, options: dict[str, Any] | None = None
) -> Cleaned:
    """Writes what is left of a data set where of each group of near-duplicates one item is kept.

    Args:
        source: a folder of pictures, or a .npz, .npy, .csv or .txt file.
        out: a new file: .csv for a folder, else of the source's kind.
        ratio: how near near-duplicates are, in usual distances; found from the data if absent. Texts are alike where
            they are equal.
        options: of `open_dataset`.

    Raises:
        UserError: data that cannot be read, a file that exists, or items that are no rows of the file.
    """
    source, out = Path(source), Path(out)
    if not source.exists():
        raise UserError(f"there is no file or folder {source}: built-in sets stay as they are")
    suffix = ".csv" if source.is_dir() else source.suffix.lower()
    if suffix not in _WRITERS:
        raise UserError(f"{source.name} is none of a folder, {', '.join(_WRITERS)}: convert it first")
    if out.exists():
        raise UserError(f"{out} exists, and nothing is overwritten: give --out another name")
    if out.suffix.lower() != suffix:
        raise UserError(f"of {source.name} a {suffix} file is written: give --out one, not {out.name}")
    data = open_dataset(source, **(options or {}))
    found = _duplicates(data, ratio)
    out.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        _write_list(source, data, found, out)
    else:
        _WRITERS[suffix](source, len(data), found.kept, out)
    return Cleaned(out, len(data), found.groups, found.ratio)


def _duplicates(data: Dataset, ratio: float | None) -> Duplicates:
    items = np.asarray(data.items[np.arange(len(data))])
    if isinstance(data.codec, TokenCodec):
        return grouped(np.unique(row_keys(items), return_inverse=True)[1], 0.0)
    return find_duplicates(data.codec.encode(items), ratio=ratio)


def _write_list(folder: Path, data: Dataset, found: Duplicates, out: Path) -> None:
    """All files of a folder that are pictures, whether they are kept, and of the others which one they are like."""
    left_out = {entry.path for entry in data.rejected}
    names = [name for name in survey_folder(folder).names() if name not in left_out]
    like = {index: group[0] for group in found.groups for index in group[1:]}
    with out.open("x", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "kept", "like"])
        for index, name in enumerate(names):
            writer.writerow([name, "no" if index in like else "yes", names[like[index]] if index in like else ""])


def _write_npz(source: Path, num: int, kept: NDArray[np.int64], out: Path) -> None:
    with np.load(source, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    rows = {name: array for name, array in found.items() if array.ndim and len(array) == num}
    _all_rows(source, num, num if rows else 0)
    np.savez(out, **{name: array[kept] if name in rows else array for name, array in found.items()})


def _write_npy(source: Path, num: int, kept: NDArray[np.int64], out: Path) -> None:
    array = np.load(source, allow_pickle=False, mmap_mode="r")
    _all_rows(source, num, len(array))
    np.save(out, array[kept], allow_pickle=False)


def _write_csv(source: Path, num: int, kept: NDArray[np.int64], out: Path) -> None:
    with source.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    head = len(rows) - num
    if head not in (0, 1):
        _all_rows(source, num, len(rows) - 1)
    with out.open("x", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([*rows[:head], *(rows[head + index] for index in kept)])


def _write_txt(source: Path, num: int, kept: NDArray[np.int64], out: Path) -> None:
    lines = [line for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    _all_rows(source, num, len(lines))
    out.write_text("".join(f"{lines[index]}\n" for index in kept), encoding="utf-8")


def _all_rows(source: Path, num: int, rows: int) -> None:
    """Refuses a file whose rows are not the items one by one: which ones to leave out would be a guess."""
    if num != rows:
        raise UserError(
            f"{source.name} has {rows:,} rows and gives {num:,} items: leave out the rows that cannot be read first"
        )


_WRITERS: dict[str, Callable[[Path, int, NDArray[np.int64], Path], None]] = {
    ".npz": _write_npz,
    ".npy": _write_npy,
    ".csv": _write_csv,
    ".txt": _write_txt,
}
