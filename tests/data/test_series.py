"""Series in the .ts format: the archives' own sets, series of different lengths, and lines that cannot be read."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from pellucid.data.builtin import BUILTIN
from pellucid.data.open import open_dataset
from pellucid.data.series import load_series
from pellucid.data.series_files import SeriesReading, open_series
from pellucid.data.shipped import shipped
from pellucid.foundations.errors import UserError

HEAD = "#a comment\n@problemName x\n@timeStamps false\n@classLabel {label}\n@data\n"


def written(tmp_path, body, label="true a b"):
    path = tmp_path / "x.ts"
    path.write_text(HEAD.format(label=label) + body)
    return path


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [("power", (1096, 1, 24), 2), ("gunpoint", (200, 1, 150), 2), ("motions", (80, 6, 100), 4)],
)
def test_the_archives_sets(name, shape, classes):
    """Sizes as the archive states them; every univariate series there has mean 0 and standard deviation 1."""
    ds = BUILTIN[name]()
    assert ds.items.shape == shape
    assert len(ds.label_names) == classes
    if shape[1] == 1:
        assert np.abs(ds.items.mean(2)).max() < 1e-4
        assert np.abs(ds.items.std(2, ddof=1) - 1).max() < 1e-2


def test_the_values_are_those_of_the_file():
    """Read once more, by a regular expression."""
    file = shipped("sktime", "sktime", "x", "datasets/data/BasicMotions/BasicMotions_TRAIN.ts")
    line = file.read_text().split("@data\n")[1].splitlines()[3]
    numbers = np.array(re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", line.rsplit(":", 1)[0]), float).reshape(6, 100)
    ds = load_series(file)
    np.testing.assert_allclose(ds.items[3], numbers, rtol=1e-6)
    assert ds.label_names[ds.labels[3]] == line.rsplit(":", 1)[1]


def test_a_set_of_several_lengths():
    """As the archive states them: 640 utterances of 7 to 29 steps, 12 channels, nine speakers; none is missing."""
    ds = BUILTIN["vowels"]()
    assert ds.items.shape == (640, 12, 29)
    there = ~np.isnan(ds.items)
    lengths = there[:, 0].sum(1)
    assert (lengths.min(), lengths.max(), len(ds.label_names)) == (7, 29, 9)
    assert (there == (np.arange(29) < lengths[:, None, None])).all()
    assert not ds.codec.holes


def test_sktime_is_not_imported():
    code = (
        "import sys; from pellucid.data.builtin import BUILTIN; BUILTIN['power'](); sys.exit('sktime' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_series_of_several_lengths_end_in_nan(tmp_path):
    ds = load_series(written(tmp_path, "1,2,3:4,5,6:a\n7,8:9,10:b\n"))
    np.testing.assert_array_equal(ds.items[0], [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(ds.items[1], [[7, 8, np.nan], [9, 10, np.nan]])
    assert ds.label_names == ("a", "b")
    assert ds.notes == ("series of 2 to 3 steps",)
    assert (ds.codec.lengths, ds.codec.classes, ds.codec.counts) == ((2, 3), (1, 0), (1, 1))
    # the moments are of what is there
    np.testing.assert_allclose(ds.codec.mean, [21 / 5, 34 / 5])
    np.testing.assert_allclose(ds.codec.std, [np.std([1, 2, 3, 7, 8]), np.std([4, 5, 6, 9, 10])])
    back = ds.codec.decode(ds.codec.encode(ds.items))
    np.testing.assert_allclose(back, ds.items, atol=1e-5)


def test_values_that_a_file_says_may_be_missing(tmp_path):
    path = written(tmp_path, "1,?,3:a\n7,8,nan:b\n")
    path.write_text("@missing true\n" + path.read_text())
    ds = load_series(path)
    np.testing.assert_array_equal(ds.items[:, 0], [[1, np.nan, 3], [7, 8, np.nan]])
    assert ds.codec.holes
    assert ds.notes == ("2 values within the series are missing: they count nowhere",)
    other = written(tmp_path, "1,?,3:a\n7,8,nan:b\n")
    np.testing.assert_array_equal(open_series(other, SeriesReading(missing=True)).items, ds.items)


def test_channels_and_series_without_a_value(tmp_path):
    with pytest.raises(UserError, match=r"channel 1 \(counted from 0\) has not one value"):
        load_series(written(tmp_path, "1,2:?,?:a\n"), missing=True)
    with pytest.raises(UserError, match=r"series 1 \(counted from 0\) has not one value"):
        load_series(written(tmp_path, "1,2:a\n?,?:a\n"), missing=True)
    assert "channel 0 (counted from 0) is constant (4)" in load_series(written(tmp_path, "4,4:a\n4,4:a\n")).notes[0]


def test_a_file_without_classes_and_one_that_is_opened(tmp_path):
    path = written(tmp_path, "1,2\n3,5\n", label="false")
    ds = open_dataset(path)
    assert ds.labels is None
    np.testing.assert_array_equal(ds.items[:, 0], [[1, 2], [3, 5]])
    labelled = written(tmp_path, "1,2:a\n3,5:b\n")
    assert open_dataset(labelled, labels="none").labels is None
    x, labels = open_dataset(labelled).fetch([0, 1])
    assert x.shape == (2, 1, 2)
    assert torch.equal(labels, torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("1,2:a\n1,x:a\n", "line 7: a value that is no number"),
        ("1,?:a\n", "line 6: a missing value, and nothing says"),
        ("1,nan:a\n", "line 6: a missing value, and nothing says"),
        ("1,inf:a\n", "line 6: a value that is not finite"),
        ("1,2:1:a\n", "line 6: the channels of one series have one length"),
        ("1,2:a\n1,2:3,4:a\n", "a series of 2 channels among others of 1"),
        ("", "holds no series"),
    ],
)
def test_what_cannot_be_read_is_told_by_its_line(tmp_path, body, words):
    with pytest.raises(UserError, match=words):
        load_series(written(tmp_path, body))


def test_other_files_are_told(tmp_path):
    path = tmp_path / "x.ts"
    path.write_text("const x = 1\n")
    with pytest.raises(UserError, match=r"it is no \.ts file"):
        load_series(path)
    path.write_text("@timeStamps true\n@data\n")
    with pytest.raises(UserError, match="time stamps"):
        load_series(path)
