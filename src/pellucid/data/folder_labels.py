"""What a folder of pictures says of them: tables beside them, captions in files of the same name, and sub-folders."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..foundations.errors import UserError

LABELS, METADATA = "labels.csv", "metadata.csv"  # read where they lie in the folder
FILE_COLUMNS = ("file", "file_name")
CAPTION = "caption"  # the name under which captions in files of their own go


@dataclass(frozen=True)
class Table:
    """The cells of the tables beside a folder.

    Attributes:
        labels: the label of each file; None where there is no such column.
        columns: of each further column the cell of each file.
    """

    labels: dict[str, str] | None = None
    columns: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def files(self) -> set[str]:
        """The files that have a row."""
        return set(self.labels or ()).union(*self.columns.values())


def read_table(path: Path, labels_csv: str | Path | None) -> Table:
    """What the csv that was given, or labels.csv and metadata.csv in the folder, say of each file.

    Raises:
        UserError: a csv that is missing or not understood, or two cells that contradict one another.
    """
    if labels_csv == "none":
        return Table()
    if labels_csv and not Path(labels_csv).is_file():
        raise UserError(f"no file {str(labels_csv)!r}; the labels come from a csv with the columns file and label")
    labels: dict[str, str] | None = None
    columns: dict[str, dict[str, str]] = {}
    for file in table_files(path, labels_csv):
        for line, name, row in _rows(file):
            for column, cell in row.items():
                if column == "label":
                    labels = labels if labels is not None else {}
                    if not cell:
                        raise UserError(f"{file}, line {line}: a file or a label is missing")
                known = labels if column == "label" and labels is not None else columns.setdefault(column, {})
                if known.setdefault(name, cell) != cell:
                    raise UserError(
                        f"{file}, line {line}: {name!r} has the {column} {cell!r} here and {known[name]!r} above"
                    )
    return Table(labels, columns)


def table_files(path: Path, labels_csv: str | Path | None) -> list[Path]:
    """The tables that are read, where they are there."""
    if labels_csv and labels_csv != "none":
        return [Path(labels_csv)]
    return [file for file in (path / LABELS, path / METADATA) if file.is_file()]


def _rows(file: Path) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Line, file name and the other cells of each row, by their column."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{str(file)!r} is not a text file in UTF-8; save the table as csv in UTF-8") from None
    try:
        yield from _read(file, csv.DictReader(lines))
    except csv.Error as error:
        raise UserError(f"{str(file)!r} cannot be read as csv: {error}") from None


def _read(file: Path, reader: csv.DictReader[str]) -> Iterator[tuple[int, str, dict[str, str]]]:
    titles = {str(column): str(column).strip() for column in reader.fieldnames or ()}
    key = next((column for column, title in titles.items() if title.lower() in FILE_COLUMNS), None)
    others = {column: "label" if title.lower() == "label" else title for column, title in titles.items()}
    others = {column: title for column, title in others.items() if column != key and title}
    if key is None or not others:
        found = ", ".join(titles.values()) or "none"
        raise UserError(
            f"{file} needs the columns file and label in its first line (or file and other columns); found: {found}"
        )
    for row in reader:
        name = (row[key] or "").strip()
        if not name:
            raise UserError(f"{file}, line {reader.line_num}: a file or a label is missing")
        cells = {title: (row[column] or "").strip() for column, title in others.items()}
        yield reader.line_num, name.replace("\\", "/").removeprefix("./"), cells


def labels_of(names: list[str], table: Mapping[str, str] | None) -> tuple[list[str] | None, str | None]:
    """The label of each picture, or None, with a note where pictures stay without labels."""
    if table is not None:
        missing = [name for name in names if name not in table]
        if missing:
            raise UserError(
                f"{len(missing)} of {len(names)} pictures have no label in the csv, such as {missing[0]!r}; add their "
                "rows (file names are relative to the folder), or take the csv away"
            )
        return [table[name] for name in names], None
    tops = [name.split("/")[0] if "/" in name else None for name in names]
    classes = {top for top in tops if top is not None}
    if None not in tops and len(classes) >= 2:
        return [str(top) for top in tops], None
    if len(classes) >= 2:
        loose = tops.count(None)
        return None, f"no labels: {loose} pictures lie outside the sub-folders, so these are not taken as labels"
    return None, None


def sidecars(files: Iterable[Path]) -> dict[Path, Path]:
    """The text file of each file that has one beside it under the same name: a.png and a.txt."""
    by_stem: dict[Path, list[Path]] = {}
    for file in files:
        by_stem.setdefault(file.with_suffix(""), []).append(file)
    found = {}
    for group in by_stem.values():
        texts = [file for file in group if file.suffix == ".txt"]
        found.update({file: texts[0] for file in group if texts and file.suffix != ".txt"})
    return found


def read_captions(texts: Mapping[str, Path]) -> dict[str, str]:
    """The captions in text files, by the names of their pictures, in one line each."""
    found = {}
    for name, file in texts.items():
        try:
            found[name] = " ".join(file.read_text(encoding="utf-8-sig").split())
        except UnicodeDecodeError:
            raise UserError(f"the caption {str(file)!r} is not a text file in UTF-8") from None
    return found
