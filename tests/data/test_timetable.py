"""Csv files of series: times of every kind, several series, gaps, and what is refused by line and column."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from pellucid.data.timetable import is_timetable, read_timetable
from pellucid.foundations.errors import UserError


def written(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(text)
    return path


def one(tmp_path, times, header="time,x"):
    rows = "".join(f"{time},{i}\n" for i, time in enumerate(times))
    return read_timetable(written(tmp_path, f"{header}\n{rows}")).series[0]


def test_a_series_with_gaps(tmp_path):
    table = read_timetable(written(tmp_path, "time;demand;wind\n0;1.5;\n1;?;2\n2;NA;nan\n3;4;5\n"))
    assert (table.channels, table.time) == (("demand", "wind"), "time")
    nan = np.nan
    np.testing.assert_array_equal(table.series[0].values, [[1.5, nan, nan, 4], [nan, 2, nan, 5]])
    assert table.series[0].time(5) == "5"


def test_several_series_with_classes_and_lengths_of_their_own(tmp_path):
    table = read_timetable(written(tmp_path, "id,t,x,class\na,9,1,cold\na,9,2,cold\nb,9,3,warm\n"))
    assert [(s.name, s.label, s.values.shape) for s in table.series] == [("a", "cold", (2, 2)), ("b", "warm", (2, 1))]
    assert table.time is None
    assert table.series[0].time(1) == "1"


@pytest.mark.parametrize(
    ("times", "place", "expected"),
    [
        (["2024-01-30", "2024-01-31"], 31, str(date(2024, 1, 30) + timedelta(days=31))),
        (["2024-02-28 23:00", "2024-02-28 23:30"], 3, "2024-02-29 00:30"),
        (["2024-02-28T23:00:10", "2024-02-28T23:00:20"], -1, "2024-02-28T23:00:00"),
        (["2023-10-31", "2023-11-30", "2023-12-31", "2024-01-31"], 4, "2024-02-29"),
        (["2023-01-15", "2023-02-15", "2023-03-15"], 14, "2024-03-15"),
        (["2020-01-01", "2021-01-01", "2022-01-01"], 3, "2023-01-01"),
        (["2023-01-01", "2023-04-01", "2023-07-01"], 3, "2023-10-01"),
        (["0.1", "0.2", "0.3"], 7, "0.8"),
        (["1990", "1992"], 2, "1994"),
    ],
)
def test_times_are_carried_on(tmp_path, times, place, expected):
    """By the calendar, with the standard library's dates as the judge where steps are even in days."""
    assert one(tmp_path, times).time(place) == expected


def test_a_column_of_dates_is_found_without_its_name(tmp_path):
    table = read_timetable(written(tmp_path, "x,when\n1,2024-01-01\n2,2024-01-02\n"))
    assert (table.time, table.channels) == ("when", ("x",))


def test_missing_rows_are_gaps(tmp_path):
    table = read_timetable(written(tmp_path, "date,x\n2024-01-01,1\n2024-01-02,2\n2024-01-05,5\n2024-01-06,6\n"))
    np.testing.assert_array_equal(table.series[0].values[0], [1, 2, np.nan, np.nan, 5, 6])
    assert table.notes == ("2 times have no row, the first after line 3: missing",)
    assert table.series[0].time(6) == "2024-01-07"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,x\n0,1\n2,2\n1,3\n", "line 4, column 'time': '1' comes after '2'; sort"),
        ("time,x\n2024-01-01,1\n2024-01-01,2\n", "line 3, column 'time': '2024-01-01' is there twice"),
        ("time,x\n0,1\n1,2\n2,3\n3.5,4\n", "line 5, column 'time': '3.5' is no whole number of steps after '2'"),
        ("time,x\n2024-01-01,1\nsoon,2\n", "line 3, column 'time': 'soon' is no date like the others"),
        ("time,x\n2024-01-01 10:00,1\n2024-01-01 11:00+02:00,2\n", "some dates have a time zone"),
        ("time,x,y\n0,1,\n1,2,\n", "column 'y': not one value is there"),
        ("time,x\n0,1\n1,two\n", "line 3, column 'x' holds 'two'"),
        ("time,x\n0,1\n1,inf\n", "line 3, column 'x' holds 'inf'"),
        ("time,x\n0,1,2\n", "line 2: 3 cells where the header has 2"),
        ("0,1\n1,2\n", "line 1: a header"),
        ("time,x,x\n0,1,2\n", "each column needs a name of its own, and 'x' is none"),
        ("time\n0\n", "no column of numbers"),
        ("time,x\n", "a header and no rows"),
        ("", "is empty"),
        ("series,x\na,1\nb,2\na,3\n", "line 4: series 'a' goes on here"),
        ("series,class,x\na,p,1\na,q,2\n", "line 3, column 'class': 'q', where this series has 'p'"),
    ],
)
def test_what_is_refused_by_its_place(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        read_timetable(written(tmp_path, text))


def test_which_csv_files_are_series(tmp_path):
    assert is_timetable(written(tmp_path, "Date;x\n1;2\n"))
    assert is_timetable(written(tmp_path, "series,x\n1,2\n"))
    assert not is_timetable(written(tmp_path, "x,y\n1,2\n"))
    assert not is_timetable(tmp_path / "none.csv")
