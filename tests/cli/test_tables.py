"""The command line on tables: a csv in, a csv of the same columns out, and mistakes told by name and place."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from pellucid.data.tables import open_table

from ..small_tables import HEADER, trained_table
from .test_verbs import ended


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_table(tmp_path_factory.mktemp("tables")).run.path


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_csv_has_the_columns_digits_and_ranges_of_the_data(run: Path, tmp_path: Path) -> None:
    assert ended("sample", run, "-n", 30, "--seed", 1, "--out", tmp_path / "made") == 0
    header, *rows = rows_of(tmp_path / "made" / "table.csv")
    assert header == HEADER.split(",")
    assert len(rows) == 30
    table = tmp_path / "made" / "table.csv"
    # Read by its own columns no cell is refused: all are of the kind, and of a category that was there.
    again, data = open_table(table, kinds={"count": "integer"}), open_table(run.parent / "data.csv")
    for ours, theirs in zip(again.codec.fields, data.codec.fields, strict=True):
        if ours.numeric and theirs.numeric:
            assert theirs.values[0] <= ours.values[0] <= ours.values[-1] <= theirs.values[-1]
            assert ours.decimals <= theirs.decimals
    assert {row[4] for row in rows} == {""}
    assert {row[5] for row in rows} == {"mm"}
    assert (tmp_path / "made" / "table.png").read_bytes()[:4] == b"\x89PNG"
    told = json.loads((tmp_path / "made" / "table.json").read_text())
    assert told["settings"]["seed"] == 1


def test_what_is_asked_for_stands_there_as_it_was_written(run: Path, tmp_path: Path) -> None:
    asked = ["--where", "kind=ant", "--where", "kind=bee", "--where", "size=2.500", "--where", "day=2024-02-03"]
    assert ended("sample", run, "-n", 4, *asked, "--out", tmp_path / "made") == 0
    _, *rows = rows_of(tmp_path / "made" / "table.csv")
    assert [(row[0], row[1], row[3]) for row in rows] == [(kind, "2.500", "2024-02-03") for kind in ("ant", "bee") * 2]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--where", "sise=2"], "did you mean 'size'"),
        (["--where", "size=1000"], "whose values run from"),
        (["--where", "kind=wasp"], "unknown category of the column 'kind'"),
        (["--label", "ant"], "--label: not for a model of a table"),
        (["--guidance", "2"], "--guidance: not for a model of a table"),
        (["--steps", "auto"], "--steps: not for a model of a table"),
        (["--solver", "heun"], "one joint call"),
    ],
)
def test_mistakes_in_sampling(run: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("sample", run, "-n", 2, *words) == 2
    assert told in capsys.readouterr().err


def test_holes_are_filled_and_all_else_stays_byte_for_byte(run: Path, tmp_path: Path) -> None:
    text = 'size,kind,grade,name\r\n 2.50,ant,,"one, two"\r\n,bee,b,\r\n5.0,,NA,x\r\n'
    file = tmp_path / "holes.csv"
    file.write_bytes(text.encode())
    assert ended("restore", run, file, "-n", 19, "--out", tmp_path / "out") == 0
    filled = (tmp_path / "out" / "holes.csv").read_bytes().decode()
    lines, before = filled.split("\r\n"), text.split("\r\n")
    assert lines[0] == before[0]
    assert lines[1].startswith(" 2.50,ant,")
    assert lines[1].endswith(',"one, two"')
    assert lines[2].endswith(",bee,b,")  # a name that is missing stays so: names are not learned
    assert lines[3].startswith("5.0,")
    _, *cells = rows_of(tmp_path / "out" / "holes-cells.csv")
    assert [cell[:2] for cell in cells] == [["2", "grade"], ["3", "size"], ["4", "kind"], ["4", "grade"]]
    draws = [float(draw) for draw in cells[1][6:]]
    assert len(draws) == 19
    # Of 19 draws the least and the greatest are the 5 % and 95 % quantiles of 20 numbers, the truth among them.
    assert [float(cell) for cell in cells[1][3:5]] == [min(draws), max(draws)]
    assert float(cells[1][2]) == pytest.approx(sum(draws) / 19, abs=0.005)
    assert cells[2][2] in ("ant", "bee")
    assert float(cells[2][5]) == pytest.approx(cells[2][6:].count(cells[2][2]) / 19, abs=1e-3)
    third = rows_of(tmp_path / "out" / "holes-draws" / "03.csv")
    assert [third[2][0], third[3][1]] == [cells[1][8], cells[2][8]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind,size\nant,big\nbee,\n", "line 2: 'big' in the column 'size', where a number belongs"),
        ("kind,size\nwasp,\n", "unknown category of the column 'kind'"),
        ("kind,sise\nant,\n", "did you mean 'size'"),
        ("kind,size\nant,2.5\n", "no missing cell"),
        ("kind,kind\nant,bee\n", "two columns are called 'kind'"),
        ("kind,size\nant\n", "line 2: 1 cells where the header has 2"),
        ("kind,size\n", "no rows below its header"),
    ],
)
def test_mistakes_in_a_file(
    run: Path, text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert ended("restore", run, tmp_path / "t.csv", "--out", tmp_path / "out") == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_number_beyond_the_range_is_told_and_taken_for_its_end(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("kind,size\n,99.5\n")
    assert ended("restore", run, tmp_path / "t.csv", "--out", tmp_path / "out") == 0
    assert "line 2: 99.50 in the column 'size'" in capsys.readouterr().err
    assert ",99.5\n" in (tmp_path / "out" / "t.csv").read_text()


def test_bits_of_a_row(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("likelihood", run, run.parent / "data.csv", "--items", 8, "--json") == 0
    score = json.loads(capsys.readouterr().out)["scores"][0]
    assert score["unit"] == "bits/row"
    assert score["items"] == 8
    (tmp_path / "t.csv").write_text(f"{HEADER}\nant,99,3,2024-01-05,x,mm,a\n")
    assert ended("likelihood", run, tmp_path / "t.csv") == 2
    assert "line 2: 99.00 in the column 'size', whose values run from" in capsys.readouterr().err


def test_the_schema_goes_out_and_comes_in(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "columns.yaml"
    data = run.parent / "data.csv"
    assert ended("data", "inspect", data, "--schema", file) == 0
    out = capsys.readouterr().out
    assert ["size", "number,"] in [line.split()[:2] for line in out.splitlines()]
    assert "the column 'name' has 80 different texts" in out
    text = file.read_text()
    assert "count: integer  # " in text
    assert ended("data", "inspect", data, "--schema", file) == 2
    small = ["--set", "network.width=8", "--set", "network.blocks=1", "--set", "training.pictures=0"]
    file.write_text(text.replace("count: integer", "count: categry"))
    train = ["train", "table", data, "--config", file, "--budget", "64-items", *small, "--set", "sampling.steps=4"]
    assert ended(*train, "--out", tmp_path / "wrong") == 2
    assert "did you mean 'category'" in capsys.readouterr().err
    file.write_text(text.replace("count: integer", "count: category").replace("day: date", "day: left out"))
    assert ended(*train, "--out", tmp_path / "run") == 0
    assert ended("info", tmp_path / "run") == 0
    told = capsys.readouterr().out
    assert re.search(r"column count +category, \d+: 0, 1, ", told)
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "bits/row" in page
