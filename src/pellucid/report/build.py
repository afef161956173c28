"""From a run folder to its report: reads settings, measurements and pictures, and lays them out."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from pathlib import Path
from typing import Any

from pellucid.foundations import yamlfile
from pellucid.foundations.durable import finite, read_lines, write_atomic
from pellucid.foundations.errors import UserError
from pellucid.foundations.measured import Measured, format_value

from .blocks import Block, Chart, Charts, Gallery, Picture, ReportData, Section, Series, Table, Text
from .evaluation import Evaluation, read_evaluation, write_evaluation
from .page import render

NUM_OVER_TRAINING = 8
Lines = list[dict[str, Any]]


def write_report(run: Path, *, evaluation: Evaluation | None = None, sections: Sequence[Section] = ()) -> Path:
    """Writes report.html and report.json into a run folder and returns the path of the first.

    Args:
        run: the run folder.
        evaluation: what was measured after training. It is kept in the folder; without it, the one kept there
            is used.
        sections: further sections, shown before the settings.

    report.json holds each number under its name (`{"label_agreement": 0.97, "seconds": 312.0, ...}`) and,
    under "report", title, verdicts and the interval and sample size of each number.
    """
    run = Path(run)
    if not (run / "config.yaml").is_file():
        raise UserError(f"{run} is no run folder: config.yaml is missing")
    if evaluation is not None:
        write_evaluation(run, evaluation)
    report = report_data(run, read_evaluation(run), sections)
    write_atomic(run / "report.json", report_json(report))
    return write_atomic(run / "report.html", render(report))


def report_data(run: Path, evaluation: Evaluation, sections: Sequence[Section] = ()) -> ReportData:
    """The report of a run as plain values."""
    run = Path(run)
    config, provenance = yamlfile.read(run / "config.yaml")
    lines = read_lines(run / "metrics.jsonl")
    train = [line for line in lines if line.get("kind") == "train"]
    last = train[-1] if train else {}
    name = run.resolve().name
    facts = [f"{int(last['items']):,} items seen" if "items" in last else "not trained yet"]
    if "seconds" in last:
        facts.append(f"in {duration(last['seconds'])}")
    body = [
        *_pictures(run, evaluation),
        *_over_training(run, lines),
        *_curves(lines),
        *sections,
        *_settings(config, provenance),
        *_timings(train, evaluation),
        *_events(lines),
    ]
    return ReportData(
        title=name,
        subtitle=" ".join(facts),
        verdicts=evaluation.verdicts,
        numbers=_key_numbers(evaluation, last),
        sections=tuple(body),
        footer=f"Made by pellucid {_version()} on {time.strftime('%d %B %Y, %H:%M %Z')}.",
    )


def report_json(report: ReportData) -> str:
    """The numbers of a report for a program."""
    numbers: dict[str, Any] = {number.name: number.value for number in report.numbers}
    numbers["report"] = {
        "title": report.title,
        "verdicts": [{"text": verdict.text, "passed": verdict.passed} for verdict in report.verdicts],
        "numbers": {
            m.name: {"low": m.low, "high": m.high, "confidence": m.confidence, "count": m.count, "unit": m.unit}
            for m in report.numbers
        },
        "version": _version(),
    }
    return json.dumps(finite(numbers), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def duration(seconds: float) -> str:
    """A time for a person.

    >>> duration(0.25), duration(59.4), duration(312), duration(5400)
    ('0.25 s', '59.4 s', '5 min 12 s', '1 h 30 min')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


# ---------------------------------------------------------------- sections


def _key_numbers(evaluation: Evaluation, last: Mapping[str, Any]) -> tuple[Measured, ...]:
    """The evaluation's numbers, and from training what it does not tell."""
    known = {number.name for number in evaluation.numbers}
    found = list(evaluation.numbers)
    for name, key, unit, label in (("seconds", "seconds", "s", "Training time"), ("items_seen", "items", "", "")):
        if name not in known and isinstance(last.get(key), (int, float)):
            found.append(Measured(name, float(last[key]), unit=unit, label=label))
    return tuple(found)


def _pictures(run: Path, evaluation: Evaluation) -> Iterator[Section]:
    """One section for each section title that the evaluation's pictures name, in their order."""
    by_section: dict[str, list[Block]] = {}
    for shown in evaluation.pictures:
        if (run / shown.file).is_file():
            picture = Picture.read(run / shown.file, shown.alt, shown.caption, shown.rows, shown.columns)
            by_section.setdefault(shown.section, []).append(picture)
        else:
            by_section.setdefault(shown.section, []).append(Text(f"The picture {shown.file} is missing."))
    for title, blocks in by_section.items():
        yield Section(title, tuple(blocks))


def _over_training(run: Path, lines: Lines) -> Iterator[Section]:
    """Samples from the same noise as training went on: evenly chosen, the first and the last among them."""
    usable = [line for line in lines if line.get("kind") == "samples" and (run / str(line.get("file"))).is_file()]
    if not usable:
        return
    train = [line for line in lines if line.get("kind") == "train"]
    count = min(NUM_OVER_TRAINING, len(usable))
    chosen = [usable[round(k * (len(usable) - 1) / max(1, count - 1))] for k in range(count)]
    what = "reconstructions" if chosen[-1].get("what") == "reconstructions" else "samples"
    pictures = []
    for line in chosen:
        caption = f"after {int(line['items']):,} items"
        # The line's own seconds are those of the drawing; what a reader wants is how long was trained before it.
        if trained := [t["seconds"] for t in train if t.get("items", 0) <= line["items"] and "seconds" in t]:
            caption += ", " + duration(trained[-1]).replace(" ", "\u00a0")
        pictures.append(Picture.read(run / line["file"], f"Grid of {what} {caption}", caption))
    same = {"samples": "start from the same noise", "reconstructions": "show the same held-out items"}[what]
    text = Text(f"All grids {same}, so what differs is what was learned.")
    yield Section(f"{what.capitalize()} over training", (text, Gallery(tuple(pictures))))


def _curves(lines: Lines) -> Iterator[Section]:
    train = [line for line in lines if line.get("kind") == "train"]
    held_out = [line for line in lines if line.get("kind") == "held_out"]
    if not train and not held_out:
        return
    loss = [*_with_mean("training", train, "loss"), _series("held out", held_out, "loss", style="points")]
    rate = [_series("learning rate", train, "lr")]
    gradient = _with_mean("gradient norm", train, "grad_norm")
    speed = _with_mean("speed", train, "items_per_second")
    charts = [
        _chart("Loss", "loss", loss),
        _chart("Learning rate", "", rate, log=False),
        _chart("Gradient norm", "norm before clipping", gradient),
        _chart("Speed", "items per second", speed, log=False),
    ]
    shown = tuple(chart for chart in charts if chart is not None)
    if shown:
        yield Section("How it learned", (Charts(shown),))


def _settings(config: Mapping[str, Any], provenance: Mapping[str, str]) -> Iterator[Section]:
    rows = tuple((key, value, provenance.get(key, "")) for key, value in _flat(config))
    if rows:
        title = f"All {len(rows)} settings"
        yield Section("Settings", (Table(title, ("setting", "value", "from"), rows, folded=len(rows) > 14),))


def _timings(train: Lines, evaluation: Evaluation) -> Iterator[Section]:
    timings = dict(evaluation.timings)
    if train and "seconds" in train[-1] and "training" not in timings:
        timings = {"training": float(train[-1]["seconds"]), **timings}
    if not timings:
        return
    rows = [(part, duration(seconds)) for part, seconds in timings.items()]
    if len(rows) > 1:
        rows.append(("together", duration(sum(timings.values()))))
    yield Section("Timings", (Table("", ("part", "time"), tuple(rows)),))


def _events(lines: Lines) -> Iterator[Section]:
    rows = tuple(
        (str(line.get("at", "")).replace("T", " ").replace("Z", " UTC"), str(line.get("message", "")))
        for line in lines
        if line.get("kind") == "event"
    )
    if rows:
        yield Section("What happened", (Table("", ("when", "what"), rows),))


# ---------------------------------------------------------------- parts


def _series(name: str, lines: Lines, key: str, style: str = "line") -> Series:
    usable = [line for line in lines if "items" in line and key in line]
    return Series(
        name, tuple(float(line["items"]) for line in usable), tuple(line[key] for line in usable), style=style
    )


def _with_mean(name: str, lines: Lines, key: str) -> list[Series]:
    """The values, and where there are so many that they hide their course, a running mean before them."""
    if len(lines) < 40:
        return [_series(name, lines, key, style="points")]
    return [_series(f"{name}, as measured", lines, key, style="faint"), _smooth(_series(f"{name}, mean", lines, key))]


def _smooth(series: Series) -> Series:
    """The mean over a window of a fiftieth of the run, centred so that it does not lag, and narrower at the ends."""
    usable = [v is not None and math.isfinite(v) for v in series.y]
    values = (v if v is not None and math.isfinite(v) else 0.0 for v in series.y)
    sums, counts = list(accumulate(values, initial=0.0)), list(accumulate(usable, initial=0))
    num, smoothed = len(series.y), []
    for k in range(num):
        half = max(min(k, num - 1 - k, num // 100), num // 300)
        low, high = max(0, k - half), min(num, k + half + 1)
        count = counts[high] - counts[low]
        smoothed.append((sums[high] - sums[low]) / count if count else None)
    return Series(series.name, series.x, tuple(smoothed))


def _chart(title: str, y_label: str, series: Sequence[Series], log: bool | None = None) -> Chart | None:
    """A chart of the series that have values; if not said, logarithmic where they span more than a factor of 8."""
    shown = tuple(s for s in series if any(v is not None for v in s.y))
    if not shown:
        return None
    values = [v for s in shown for v in s.y if v is not None]
    if log is None:
        log = min(values) > 0 and max(values) / min(values) > 8
    return Chart(title, "items seen", y_label, shown, log_y=log)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, float):
        return format_value(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value)) or "none"
    return str(value) or "empty"


def _version() -> str:
    try:
        return version("pellucid")
    except PackageNotFoundError:  # a source tree that was never installed
        return "(not installed)"
