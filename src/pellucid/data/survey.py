"""What a folder of pictures holds, told from the headers of its files."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..foundations.errors import UserError
from .folder_labels import read_table, sidecars, table_files
from .images import Header, Rejected, Unreadable, header_of, quiet

SIZES = (16, 32, 64)
THREADS = min(4, os.cpu_count() or 1)  # reading, decoding and resizing run outside Python's lock


@dataclass(frozen=True)
class Survey:
    """What a folder holds, from the headers alone: the readable files, in a fixed order, and the rejected ones."""

    path: Path
    files: tuple[Path, ...]
    headers: tuple[Header, ...]
    rejected: tuple[Rejected, ...]

    def names(self) -> list[str]:
        """The paths of the files, relative to the folder, with forward slashes."""
        return [file.relative_to(self.path).as_posix() for file in self.files]


def find_files(path: Path) -> list[Path]:
    """All files below the folder, sorted; hidden files and folders are passed over, links to folders are followed."""
    found: list[Path] = []
    visited: set[Path] = set()
    for folder, folders, files in os.walk(path, followlinks=True):
        real = Path(folder).resolve()
        if real in visited:  # a link that leads back up
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder) / name for name in files if not name.startswith(".")]
    return sorted(found, key=lambda file: file.relative_to(path).as_posix())


def survey_folder(path: str | Path, *, labels_csv: str | Path | None = None) -> Survey:
    """Reads the header of every picture in a folder, but for those that its tables name as something that belongs to
    another.

    Raises:
        UserError: a folder that is missing, empty or without one readable picture.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"no folder {str(path)!r}; give a folder of pictures")
    table, files = read_table(path, labels_csv), find_files(path)
    beside = {path / cell for column in table.columns.values() for cell in column.values() if cell}
    others = {*table_files(path, None), *table_files(path, labels_csv), *sidecars(files).values()}
    others |= beside - {path / name for name in table.files}
    candidates = [file for file in files if file not in others]
    if not candidates:
        raise UserError(
            f"the folder {str(path)!r} holds no files; put PNG, JPEG, GIF, BMP, TIFF or WEBP pictures in it"
        )
    found, headers, rejected = [], [], []
    with quiet(), ThreadPoolExecutor(THREADS) as pool:
        for file, result in zip(candidates, pool.map(_header_or_reason, candidates), strict=True):
            if isinstance(result, Header):
                found.append(file)
                headers.append(result)
            else:
                rejected.append(Rejected(file.relative_to(path).as_posix(), result))
    if not found:
        raise nothing_readable(path, rejected)
    return Survey(path, tuple(found), tuple(headers), tuple(rejected))


def choose_size(headers: tuple[Header, ...]) -> int:
    """The side of the square pictures: the largest of 16, 32, 64 that the median shorter side reaches, at least 16."""
    median = float(np.median([min(header.width, header.height) for header in headers]))
    return max((size for size in SIZES if size <= median), default=SIZES[0])


def _header_or_reason(file: Path) -> Header | str:
    try:
        return header_of(file)
    except Unreadable as error:
        return str(error)


def nothing_readable(path: Path, rejected: list[Rejected]) -> UserError:
    """The error for a folder whose files were all rejected; it shows the first of them."""
    first = rejected[0]
    return UserError(
        f"no readable picture among the {len(rejected)} files of {str(path)!r} ({first.path}: {first.reason}); "
        "PNG, JPEG, GIF, BMP, TIFF and WEBP are read"
    )
