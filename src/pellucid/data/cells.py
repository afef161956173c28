"""One line of a csv file as its cells."""

from __future__ import annotations

import csv
from pathlib import Path

from ..foundations.errors import UserError


def cells_of(line: str, delimiter: str, *, path: str | Path, number: int) -> list[str]:
    """The cells of a line, without the blanks around them.

    Raises:
        UserError: a line that is no csv, such as a cell of more than 131,072 characters; with its number.
    """
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error as error:
        raise UserError(f"{path}, line {number} cannot be read as csv: {error}") from None
