"""Cells replaced in a csv file: every other byte stays."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from pellucid.data.table_text import Written
from pellucid.data.tables import read_rows

TEXTS = [
    'a,b\r\n1, 2 \r\n"x, ""y""",\r\n\r\n,"3"',
    "\ufeffa;b\n1;2,5\n\n;x\n",
    'a\tb\n"two\nlines"\t1\n2\t\n',
    'a,b\rone,"it""s"\r,2\r',
]


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_replaced_is_the_file_itself(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode("utf-8"))
    assert Written.read(path).replaced({}) == text


@pytest.mark.parametrize("text", TEXTS[:3])
def test_cells_are_cut_as_the_csv_module_cuts_them(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode("utf-8"))
    written, (header, rows) = Written.read(path), read_rows(path)
    for place, cells in zip(written.filled, [header, *(row for _, row in rows)], strict=True):
        for j, cell in enumerate(cells):
            raw = next(csv.reader(io.StringIO(written.rows[place][j], newline=""), delimiter=written.delimiter), [""])
            assert raw[0].strip() == cell


def test_a_cell_is_quoted_where_it_must_be(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,b\r\n1.50,\r\n"q",7\r\n')
    found = Written.read(path).replaced({(1, 1): 'x, "y"', (2, 0): "z"})
    assert found == 'a,b\r\n1.50,"x, ""y"""\r\nz,7\r\n'
