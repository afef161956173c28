"""Series from csv files, arrays and folders: lengths, gaps, classes, covariates, windows, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.cli.main import main
from pellucid.data.codecs import SeriesCodec, SignalCodec, codec_from_json
from pellucid.data.infer import ColumnKinds
from pellucid.data.ragged import drawn_lengths, presence, presence_of
from pellucid.data.series_files import SeriesReading, open_series
from pellucid.foundations.errors import UserError

PLAIN, GAPS = SeriesReading(), SeriesReading(missing=True)


def table(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(text)
    return path


LONG = """series,class,age,time,x,y
a,up,3,0,1,5
a,up,3,1,2,5.5
b,down,4.5,0,9,
b,down,4.5,1,8,6
b,down,4.5,2,7,6.5
"""


def test_a_csv_of_several_series(tmp_path):
    """Lengths of their own, a gap, classes, and a covariate that is asked for by name."""
    found = open_series(table(tmp_path, LONG), GAPS, conditions=ColumnKinds({"age": "vector"}))
    nan = np.nan
    np.testing.assert_array_equal(found.items[0], [[1, 2, nan], [5, 5.5, nan]])
    np.testing.assert_array_equal(found.items[1], [[9, 8, 7], [nan, 6, 6.5]])
    assert (found.label_names, found.labels.tolist()) == (("down", "up"), [1, 0])
    (age,) = found.columns
    assert age.part.kind == "vector"
    assert age.tensor(np.arange(2))[:, 0].tolist() == pytest.approx([-1, 1])
    assert isinstance(found.codec, SeriesCodec)
    assert found.codec.holes
    assert codec_from_json(found.codec.to_json()) == found.codec


def test_a_long_series_is_cut_into_windows(tmp_path):
    path = table(tmp_path, "time,x\n" + "".join(f"{i},{i * i % 7}\n" for i in range(23)))
    found = open_series(path, SeriesReading(length=5))
    np.testing.assert_array_equal(found.items[:, 0].flatten(), [i * i % 7 for i in range(20)])
    assert found.items.shape == (4, 1, 5)
    assert type(found.codec) is SignalCodec
    assert "3 steps at the ends of series" in found.notes[0]
    with pytest.raises(UserError, match=r"one series of 23 steps.*data\.length=STEPS"):
        open_series(path, PLAIN)
    with pytest.raises(UserError, match=r"no series has the 30 steps"):
        open_series(path, SeriesReading(length=30))


def test_a_folder_of_arrays(tmp_path):
    for name, steps in (("up/a", 3), ("up/b", 5), ("down/c", 4)):
        path = tmp_path / f"set/{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.arange(2.0 * steps).reshape(2, steps))
    found = open_series(tmp_path / "set", PLAIN)
    assert found.items.shape == (3, 2, 5)
    assert [found.label_names[i] for i in found.labels] == ["down", "up", "up"]
    assert (~np.isnan(found.items[:, 0])).sum(1).tolist() == [4, 3, 5]
    (tmp_path / "set/labels.csv").write_text("file,label,age\nup/a.npy,p,1\nup/b.npy,q,2\ndown/c.npy,p,3\n")
    found = open_series(tmp_path / "set", PLAIN)
    assert [found.label_names[i] for i in found.labels] == ["p", "p", "q"]
    assert found.columns[0].part.name == "age"
    assert open_series(tmp_path / "set", PLAIN, labels="none").labels is None
    np.save(tmp_path / "set/up/b.npy", np.ones((3, 5)))
    with pytest.raises(UserError, match=r"b\.npy: 3 channels, where c\.npy has 2"):
        open_series(tmp_path / "set", PLAIN)


def test_arrays_that_end_in_nan(tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 2, 6))
    x[1, :, 4:] = np.nan
    x[2, 0, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.array([0, 1, 1]))
    found = open_series(tmp_path / "x.npy", GAPS, labels=str(tmp_path / "y.npy"))
    np.testing.assert_array_equal(found.items, x.astype(np.float32))
    assert (found.codec.lengths, found.codec.classes, found.codec.counts) == ((4, 6, 6), (1, 0, 1), (1, 1, 1))
    with pytest.raises(UserError, match=r"nan in row 1, place \(0, 4\).*data\.missing=true"):
        open_series(tmp_path / "x.npy", PLAIN)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(30, 9)))
    assert open_series(tmp_path / "x.npy", PLAIN).shape == (1, 9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LONG, r"at time 0 of series 'b', column 'y': a value is missing"),
        ("series,x\na,1\na,\nb,2\n", r"line 3 of series 'a', column 'x': a value is missing"),
        ("series,step,x,kind\na,0,1,p\na,1,2,q\nb,0,3,q\n", r"line 3, column 'kind': 'q', where this series has 'p'"),
    ],
)
def test_what_is_refused_by_its_place(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        open_series(table(tmp_path, text), PLAIN)


def test_other_data_are_told(tmp_path):
    with pytest.raises(UserError, match=r"no series 'digits8'.*vowels"):
        open_series("digits8", PLAIN)
    with pytest.raises(UserError, match="these are series already"):
        open_series("power", SeriesReading(length=4))
    with pytest.raises(UserError, match=r"holds no \.npy file"):
        open_series(tmp_path, PLAIN)


def test_lengths_are_drawn_as_often_as_they_occur():
    """Of a class its own lengths, each with its share to within four standard errors of 4,000 draws."""
    codec = SeriesCodec(9, (0.0,), (1.0,), (3, 5, 9, 9), (0, 0, 1, 0), (10, 20, 7, 10), False)
    ids = range(4000)
    first = drawn_lengths(codec, ids, 0, torch.zeros(4000, dtype=torch.int64))
    for length, share in ((3, 0.25), (5, 0.5), (9, 0.25)):
        assert (first == length).double().mean().item() == pytest.approx(
            share, abs=4 * (share * (1 - share) / 4000) ** 0.5
        )
    assert (drawn_lengths(codec, ids, 0, torch.ones(4000, dtype=torch.int64)) == 9).all()
    # a label that is none draws from all; and each sample's length is its own, whatever it is drawn with
    mixed = drawn_lengths(codec, ids, 0, torch.full((4000,), 2))
    assert (mixed == 9).double().mean().item() == pytest.approx(17 / 47, abs=0.031)
    assert drawn_lengths(codec, [7, 1999], 0, torch.zeros(2, dtype=torch.int64)).tolist() == first[[7, 1999]].tolist()
    assert (drawn_lengths(codec, ids, 1, None) != mixed).any()


def test_presence():
    there = presence_of(torch.tensor([2, 0]), (2, 3))
    assert there.tolist() == [[[1, 1, 0]] * 2, [[0, 0, 0]] * 2]
    assert presence(torch.tensor([1.0, torch.nan])).tolist() == [1, 0]


def test_inspected_from_the_command_line(tmp_path, capsys):
    def ended(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["data", "inspect", str(table(tmp_path, LONG)), *arguments])
        return end.value.code, capsys.readouterr()

    code, shown = ended("--series", "--missing", "--sheet", str(tmp_path / "sheet.png"))
    assert code == 0
    for words in ("2 items of shape 3x3", "down 1, up 1", "series of 2 to 3 steps", "1 values within the series"):
        assert words in shown.out
    assert (tmp_path / "sheet.png").is_file()
    code, shown = ended("--series")
    assert code == 2
    assert "at time 0 of series 'b', column 'y': a value is missing" in shown.err
    code, shown = ended("--missing")
    assert code == 2
    assert "give --series too" in shown.err


def test_the_archives_other_format(tmp_path):
    """Tabs, the class first, NaN behind the end; the same series as those of the .ts file."""
    path = tmp_path / "x.tsv"
    path.write_text("1\t0.5\t1.5\t2.5\n2\t3\t4\tNaN\n")
    found = open_series(path, PLAIN)
    np.testing.assert_array_equal(found.items[:, 0], [[0.5, 1.5, 2.5], [3, 4, np.nan]])
    assert (found.label_names, found.labels.tolist()) == (("1", "2"), [0, 1])
    days = open_series("power", PLAIN)
    lines = [
        "\t".join([days.label_names[k], *map(repr, x[0].tolist())])
        for k, x in zip(days.labels, days.items, strict=True)
    ]
    path.write_text("\n".join(lines))
    again = open_series(path, PLAIN)
    np.testing.assert_array_equal(again.items, days.items)
    np.testing.assert_array_equal(again.labels, days.labels)
    for text, words in (
        ("1\t2\tNaN\t3\n", r"line 1: nan at step 1 .*data\.missing=true"),
        ("1\t2\t3\n1\t2\tx\n", "line 2: 'x', where a class and then numbers"),
        ("1\t2\tinf\n", "line 1: inf at step 1"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=words):
            open_series(path, PLAIN)
    path.write_text("1\t2\tNaN\t3\n")
    assert open_series(path, GAPS).codec.holes
    path.write_text("time\tx\n0\t1\n")
    with pytest.raises(UserError, match="one series of 1 steps"):  # with a header it is a table
        open_series(path, PLAIN)
