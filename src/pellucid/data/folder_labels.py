"""Labels of a folder of pictures: from a csv, or from the names of the sub-folders."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from ..foundations.errors import UserError


def label_table(path: Path, labels_csv: str | Path | None) -> dict[str, str] | None:
    """The labels by file name from a csv, or None where there is none."""
    if labels_csv == "none":
        return None
    file = Path(labels_csv) if labels_csv else path / "labels.csv"
    if not file.is_file():
        if labels_csv:
            raise UserError(f"no file {str(file)!r}; the labels come from a csv with the columns file and label")
        return None
    table: dict[str, str] = {}
    for line, name, label in _csv_rows(file):
        if table.setdefault(name, label) != label:
            raise UserError(f"{file}, line {line}: {name!r} has the label {label!r} here and {table[name]!r} above")
    return table


def _csv_rows(file: Path) -> Iterator[tuple[int, str, str]]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        columns = {str(column).strip().lower(): column for column in reader.fieldnames or ()}
        if not {"file", "label"} <= set(columns):
            found = ", ".join(map(str, reader.fieldnames or ())) or "none"
            raise UserError(f"{file} needs the columns file and label in its first line; found: {found}")
        for row in reader:
            name, label = row[columns["file"]], row[columns["label"]]
            if not name or not label:
                raise UserError(f"{file}, line {reader.line_num}: a file or a label is missing")
            yield reader.line_num, name.strip().replace("\\", "/").removeprefix("./"), label.strip()


def labels_of(names: list[str], table: dict[str, str] | None) -> tuple[list[str] | None, str | None]:
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
