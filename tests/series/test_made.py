"""Files of series, carried on and filled from the command line and in Python: what is written, and what is refused."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import torch

from pellucid import UserError
from pellucid.cli.main import main
from pellucid.series.made import restore_series

from ..small import trained
from .exact import gaussian_model, kernel

HOURS = 12


@pytest.fixture(scope="module")
def model():
    return gaussian_model(torch.zeros(2, HOURS), torch.kron(torch.eye(2), kernel(HOURS)), offset=10.0, unit=2.0)


def table(path, rows, header="time,demand,wind"):
    path.write_text(header + "\n" + "".join(f"{row}\n" for row in rows))
    return path


def read(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def day(hours, gap=()):
    return [f"2024-05-01 {h:02d}:00,{'' if h in gap else 9 + h % 3},{8 + h % 2}" for h in hours]


def test_a_forecast_of_a_csv(model, tmp_path):
    """The csv goes on where the file ends, in its own times; quantiles are in order, and those of the draws."""
    file = table(tmp_path / "day.csv", day(range(8)))
    made = restore_series(model, [file], horizon=4, samples=30, out=tmp_path / "out")
    whole, quantiles = read(tmp_path / "out/day.csv"), read(tmp_path / "out/day-quantiles.csv")
    assert [row["time"] for row in whole] == [f"2024-05-01 {h:02d}:00" for h in range(12)]
    assert [row["time"] for row in quantiles] == [f"2024-05-01 {h:02d}:00" for h in range(8, 12)]
    assert [float(row["demand"]) for row in whole[:8]] == [9 + h % 3 for h in range(8)]
    draws = np.load(tmp_path / "out/day-draws.npy")
    assert draws.shape == (1, 30, 2, 12)
    for row, h in zip(quantiles, range(8, 12), strict=True):
        for c, name in enumerate(("demand", "wind")):
            five = [float(row[f"{name}_q{q}"]) for q in ("05", "25", "50", "75", "95")]
            expected = np.quantile(draws[0, :, c, h], (0.05, 0.25, 0.5, 0.75, 0.95), method="weibull")
            np.testing.assert_allclose(five, expected, rtol=1e-5)
            assert float(row[f"{name}_mean"]) == pytest.approx(draws[0, :, c, h].mean(), rel=1e-5)
        assert whole[h]["demand"] == row["demand_q50"]
    assert made.done[0].filled == 8
    assert made.done[0].covered is None
    told = json.loads((tmp_path / "out/forecast.json").read_text())
    assert told["settings"]["horizon"] == 4
    assert (tmp_path / "out/day.png").stat().st_size > 10_000


def test_the_last_steps_held_back(model, tmp_path):
    """With --simulate the file's own last steps are the truth, and no draw depends on them."""
    rows = day(range(12))
    file, cut = table(tmp_path / "a.csv", rows), table(tmp_path / "b.csv", rows[:9])
    held = restore_series(model, [file], horizon=3, simulate=True, samples=20, out=tmp_path / "held")
    restore_series(model, [cut], horizon=3, samples=20, out=tmp_path / "plain")
    np.testing.assert_array_equal(np.load(tmp_path / "held/a-draws.npy"), np.load(tmp_path / "plain/b-draws.npy"))
    told = read(tmp_path / "held/a-quantiles.csv")
    assert [float(row["demand_truth"]) for row in told] == [9, 10, 11]
    inside = [
        float(row[f"{name}_q05"]) <= float(row[f"{name}_truth"]) <= float(row[f"{name}_q95"])
        for row in told
        for name in ("demand", "wind")
    ]
    assert held.done[0].covered == pytest.approx(np.mean(inside))


def test_gaps_are_filled_and_the_rest_is_kept(model, tmp_path):
    file = table(tmp_path / "day.csv", day(range(10), gap=(3, 4)))
    restore_series(model, [file], samples=10, out=tmp_path / "out")
    whole, quantiles = read(tmp_path / "out/day.csv"), read(tmp_path / "out/day-quantiles.csv")
    assert [row["time"][-5:] for row in quantiles] == ["03:00", "04:00"]
    assert all(row["wind_q50"] == "" for row in quantiles)  # was seen
    assert [float(row["wind"]) for row in whole] == [8 + h % 2 for h in range(10)]
    assert len(whole) == 10
    assert all(math.isfinite(float(row["demand"])) for row in whole)


def test_arrays_and_ts_files_of_several_lengths(model, tmp_path):
    np.save(tmp_path / "x.npy", np.full((3, 2, 6), 10.0, np.float32))
    (tmp_path / "y.ts").write_text("@classLabel false\n@data\n9,10,11:8,8,8\n9,10:8,8\n")
    made = restore_series(model, [tmp_path / "x.npy", tmp_path / "y.ts"], horizon=2, samples=5, out=tmp_path / "out")
    assert np.load(tmp_path / "out/x-draws.npy").shape == (3, 5, 2, 8)
    draws = np.load(tmp_path / "out/y-draws.npy")
    assert draws.shape == (2, 5, 2, 5)
    assert np.isnan(draws[1, :, :, 4]).all()
    assert np.isfinite(draws[1, :, :, :4]).all()
    rows = read(tmp_path / "out/y.csv")
    assert [(row["series"], row["step"]) for row in rows[4:6]] == [("series 0", "4"), ("series 1", "0")]
    assert [one.series for one in made.done] == [3, 2]


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        (
            day(range(8)),
            {"horizon": 5},
            "8 steps and 5 ahead are 13, and the model knows series of 12: give the last 7",
        ),
        (day(range(8)), {"horizon": 0}, "at least 1 step"),
        (day(range(8)), {}, "no value is missing"),
        (day(range(8)), {"horizon": 8, "simulate": True}, "of 8 steps 8 cannot be held back"),
        (day(range(13)), {"horizon": 1}, "13 steps, and the model knows series of 12"),
        (day(reversed(range(4))), {"horizon": 1}, "line 3, column 'time'.*sort the rows"),
        ([f"2024-05-01 {h:02d}:00,,1" for h in range(4)], {"horizon": 1}, "'demand': not one value is there"),
    ],
)
def test_what_is_refused(model, tmp_path, rows, more, words):
    file = table(tmp_path / "x.csv", rows)
    with pytest.raises(UserError, match=words):
        restore_series(model, [file], samples=2, out=tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_other_channels_and_other_files(model, tmp_path):
    file = table(tmp_path / "x.csv", ["0,1", "1,2"], header="time,demand")
    with pytest.raises(UserError, match=r"1 channels \(demand\), and the model's have 2"):
        restore_series(model, [file], horizon=1)
    with pytest.raises(UserError, match=r"series are read from \.csv, \.ts and \.npy"):
        restore_series(model, [tmp_path / "x.txt"], horizon=1)
    with pytest.raises(UserError, match="--simulate holds back"):
        restore_series(model, [file], simulate=True)


def test_one_bad_file_does_not_stop_the_others(model, tmp_path):
    good, bad = table(tmp_path / "good.csv", day(range(4))), table(tmp_path / "bad.csv", day(range(14)))
    told = []
    made = restore_series(model, [bad, good], horizon=1, samples=2, out=tmp_path / "out", told=told.append)
    assert list(made.failed) == [str(bad)]
    assert "14 steps" in told[0]
    assert [one.file for one in made.done] == [str(good)]


def test_from_the_command_line(tmp_path, capsys):
    """A trained model of one channel: `--forecast` goes on, gaps are filled, and what does not fit is refused."""
    wave = np.sin(np.linspace(0, 9, 8) + np.linspace(0, 6, 200)[:, None])
    np.save(tmp_path / "x.npy", wave[:, None].astype(np.float32))
    run = trained(tmp_path / "run", data__source=str(tmp_path / "x.npy"), sampling__guidance=1.0).run.path
    file = table(tmp_path / "a.csv", [f"{i},{v:.3f}" for i, v in enumerate(wave[3, :5])], header="step,wave")

    def ended(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        return end.value.code, capsys.readouterr()

    fast = ["--steps", 2, "-n", 4]
    code, shown = ended("restore", run, file, "--forecast", 3, *fast, "--out", tmp_path / "out", "--json")
    assert code == 0
    assert json.loads(shown.out)["restored"][0]["filled"] == 3
    assert [row["step"] for row in read(tmp_path / "out/a-quantiles.csv")] == ["5", "6", "7"]
    code, shown = ended("restore", run, file, "--forecast", 3, "--task", "denoise")
    assert code == 2
    assert "--forecast carries on series" in shown.err
    code, shown = ended("restore", run, file, "--noise", 1)
    assert code == 2
    assert "--noise" in shown.err
