"""From a run folder to its report, whatever the run has so far."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from pellucid.foundations import yamlfile
from pellucid.foundations.durable import append_line
from pellucid.foundations.errors import UserError
from pellucid.foundations.measured import Measured, proportion
from pellucid.report import Evaluation, Section, Shown, Text, Verdict, read_evaluation, report_data, write_report
from pellucid.report.blocks import Charts, Gallery, Picture, Series, Table
from pellucid.report.build import _smooth

EVALUATION = Evaluation(
    numbers=(proportion("label_agreement", 970, 1000), Measured("bad", float("nan"))),
    verdicts=(Verdict("good digits", True),),
    pictures=(Shown("samples/a.png", "Samples by class", "ten rows", rows=("0", "1")), Shown("no.png", "Lost", "x")),
    timings={"sampling": 30.0},
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = {"train": {"lr": 3e-4, "clip": None, "<b>": True}, "widths": [1, 2]}
    (tmp_path / "config.yaml").write_text(yamlfile.dump(config, {"train.lr": "flag --lr"}))
    (tmp_path / "samples").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "samples" / "a.png")
    return tmp_path


def fill(run: Path) -> None:
    for step in range(1, 101):
        line = {"kind": "train", "step": step, "items": 8 * step, "loss": 1 / step, "lr": 1e-3, "grad_norm": 1.0}
        append_line(run / "metrics.jsonl", {**line, "items_per_second": 100.0, "seconds": step * 1.0})
        if step % 10 == 0:
            name = f"samples/items-{8 * step:08d}.png"
            Image.new("L", (8, 8), step).save(run / name)
            append_line(run / "metrics.jsonl", {"kind": "samples", "items": 8 * step, "file": name, "seconds": 0.1})
            append_line(run / "metrics.jsonl", {"kind": "held_out", "step": step, "items": 8 * step, "loss": 0.5})
    append_line(run / "metrics.jsonl", {"kind": "event", "message": "stopped", "at": "2026-01-01T00:00:00Z"})


def section(run: Path, title: str, evaluation: Evaluation | None = None) -> Section:
    return next(s for s in report_data(run, evaluation or Evaluation()).sections if s.title == title)


def test_numbers_for_programs(run: Path) -> None:
    fill(run)
    path = write_report(run, evaluation=EVALUATION, sections=(Section("Extra", (Text("hello extra"),)),))
    assert path == run / "report.html"
    html = path.read_text()
    assert "hello extra" in html
    assert "good digits" in html
    data = json.loads((run / "report.json").read_text())
    assert data["label_agreement"] == 0.97
    assert data["bad"] is None
    assert data["seconds"] == 100.0
    interval = data["report"]["numbers"]["label_agreement"]
    assert (round(interval["low"], 4), round(interval["high"], 4), interval["count"]) == (0.9575, 0.9789, 1000)
    assert data["report"]["verdicts"] == [{"text": "good digits", "passed": True}]


def test_an_evaluation_is_kept_and_read_back(run: Path) -> None:
    write_report(run, evaluation=EVALUATION)
    first = json.loads((run / "report.json").read_text())
    kept = read_evaluation(run)
    assert (kept.numbers[0], kept.verdicts, kept.pictures) == (
        EVALUATION.numbers[0], EVALUATION.verdicts, EVALUATION.pictures,
    )  # fmt: skip
    write_report(run)
    assert json.loads((run / "report.json").read_text()) == first
    (run / "evaluation.json").write_text('{"numbers": [{}]}')
    with pytest.raises(UserError, match=r"evaluation.json cannot be read .*delete it"):
        write_report(run)


def test_a_run_that_has_nothing_yet(run: Path) -> None:
    html = write_report(run).read_text()
    assert "not trained yet" in html
    assert [s.title for s in report_data(run, Evaluation()).sections] == ["Settings"]
    with pytest.raises(UserError, match=r"config.yaml is missing"):
        write_report(run / "samples")


def test_curves_hold_the_measurements(run: Path) -> None:
    fill(run)
    (charts,) = section(run, "How it learned").blocks
    assert isinstance(charts, Charts)
    loss = charts.charts[0]
    assert [s.name for s in loss.series] == ["training, as measured", "training, mean", "held out"]
    assert loss.series[0].x == tuple(8.0 * k for k in range(1, 101))
    assert loss.series[0].y == tuple(1 / k for k in range(1, 101))
    assert loss.series[2].y == (0.5,) * 10
    assert loss.log_y
    assert [c.title for c in charts.charts] == ["Loss", "Learning rate", "Gradient norm", "Speed"]


def test_samples_over_training_are_few_and_have_both_ends(run: Path) -> None:
    fill(run)
    gallery = section(run, "Samples over training").blocks[1]
    assert isinstance(gallery, Gallery)
    captions = [p.caption.replace("\u00a0", " ") for p in gallery.pictures]
    assert len(captions) == 8
    assert (captions[0], captions[-1]) == ("after 80 items, 10 s", "after 800 items, 1 min 40 s")


def test_pictures_of_the_evaluation_have_their_sections(run: Path) -> None:
    (picture,) = section(run, "Samples by class", EVALUATION).blocks
    assert isinstance(picture, Picture)
    assert (picture.alt, picture.rows) == ("ten rows", ("0", "1"))
    assert section(run, "Lost", EVALUATION).blocks == (Text("The picture no.png is missing."),)
    (run / "samples" / "a.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"a.png.*must be a PNG"):
        report_data(run, EVALUATION)


def test_settings_tell_where_they_come_from(run: Path) -> None:
    (table,) = section(run, "Settings").blocks
    assert isinstance(table, Table)
    assert table.rows == (
        ("train.lr", "0.0003", "flag --lr"),
        ("train.clip", "none", ""),
        ("train.<b>", "yes", ""),
        ("widths", "1, 2", ""),
    )


def test_smoothing_keeps_straight_lines_and_passes_over_gaps() -> None:
    xs = tuple(float(k) for k in range(1000))
    line = Series("s", xs, tuple(3.0 - 0.5 * x for x in xs))
    smooth = _smooth(line).y
    assert smooth[3:-3] == pytest.approx(line.y[3:-3], abs=1e-9)  # centred: a line is its own mean; sums of 1e5 round
    assert smooth[0] == pytest.approx(sum(line.y[:4]) / 4)  # at the ends what there is of three on each side
    assert smooth[-1] == pytest.approx(sum(line.y[-4:]) / 4)
    gap = Series("s", xs, tuple(None if k == 500 else float("nan") if k == 400 else 2.0 for k in range(1000)))
    assert _smooth(gap).y == pytest.approx([2.0] * 1000)
    assert _smooth(Series("s", (0.0,), (None,))).y == (None,)
