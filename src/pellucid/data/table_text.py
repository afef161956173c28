"""A csv file as it is written, so that single cells can be replaced and every other byte stays."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..foundations.errors import UserError
from .tables import delimiter_of


@dataclass(frozen=True)
class Written:
    """The text of a csv file, cut at its cells.

    Attributes:
        rows: the texts of each row's cells as they stand there, quotes included; blank lines are rows of one cell.
        ends: what follows each row: a line's end, or nothing.
        delimiter: between cells.
        mark: the text's byte order mark, or nothing.
    """

    rows: tuple[tuple[str, ...], ...]
    ends: tuple[str, ...]
    delimiter: str
    mark: str = ""

    @classmethod
    def read(cls, path: Path) -> Written:
        """Cuts a file of which `tables.read_rows` found nothing to refuse.

        Raises:
            UserError: a file that cannot be read.
        """
        try:
            text = path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{str(path)!r} cannot be read as csv in UTF-8: {error}") from None
        mark = "\ufeff" if text.startswith("\ufeff") else ""
        text = text.removeprefix(mark)
        delimiter = delimiter_of(text.partition("\n")[0])
        rows, ends, cells, start, quoted, i = [], [], [], 0, False, 0
        while i < len(text):
            if text[i] == '"' and (quoted or i == start):
                quoted = not quoted  # a doubled quote goes out and in again
            elif not quoted and text[i] == delimiter:
                cells.append(text[start:i])
                start = i + 1
            elif not quoted and text[i] in "\r\n":
                end = "\r\n" if text[i : i + 2] == "\r\n" else text[i]
                rows.append((*cells, text[start:i]))
                ends.append(end)
                cells, start = [], i + len(end)
                i = start - 1
            i += 1
        if start < len(text) or cells:
            rows.append((*cells, text[start:]))
            ends.append("")
        return cls(tuple(rows), tuple(ends), delimiter, mark)

    @property
    def filled(self) -> list[int]:
        """The places of the rows that are not blank: the header's, then those of `read_rows`, in its order."""
        return [i for i, row in enumerate(self.rows) if any(cell not in ("", '""') for cell in row)]

    def replaced(self, cells: Mapping[tuple[int, int], str]) -> str:
        """The text with other cells at (place of the row, column)."""
        rows = [list(row) for row in self.rows]
        for (i, j), cell in cells.items():
            rows[i][j] = self._quoted(cell)
        return self.mark + "".join(self.delimiter.join(row) + end for row, end in zip(rows, self.ends, strict=True))

    def _quoted(self, cell: str) -> str:
        line = io.StringIO()
        csv.writer(line, delimiter=self.delimiter, lineterminator="").writerow([cell, ""])
        return line.getvalue().removesuffix(self.delimiter)
