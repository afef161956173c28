"""Series of files carried on, or their gaps filled: draws, their quantiles as csv, and a fan chart of each file.

The folder holds, of each file NAME,

    NAME.csv            the series, with the median where nothing was seen
    NAME-quantiles.csv  a row for each step where something was not seen: quantiles and mean of each channel
    NAME-draws.npy      all draws, (series, draw, channel, step), NaN behind the end of a shorter series
    NAME.png            the fan chart

and forecast.json with all settings.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..asked import Labels
from ..foundations.errors import UserError
from ..made import new_folder
from ..model import Model
from .fan import Fan, draw_fans
from .files import Given, read_series
from .forecast import LEVELS, SETTINGS, Draws, fill, quantile, series_shape

_PANELS = 6
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SeriesMade:
    """What became of one file.

    Attributes:
        file: its path; files: what was written.
        series, channels, steps: how many.
        horizon: steps ahead; None where gaps were filled.
        filled: values that were drawn.
        covered: the share of held-back values within intervals of 90 %; None where nothing was held back.
        error: their mean distance from the median, in the file's units.
        notes: what a person should know.
        seconds: that it took.
    """

    file: str
    files: list[str]
    series: int
    channels: tuple[str, ...]
    steps: int
    horizon: int | None
    filled: int
    seconds: float
    covered: float | None = None
    error: float | None = None
    notes: tuple[str, ...] = ()

    def sentence(self) -> str:
        """The outcome in one line."""
        what = "filled" if self.horizon is None else f"{self.horizon} steps ahead:"
        judged = ""
        if self.covered is not None:
            judged = f", {100 * self.covered:.0f} % of what came within 90 % intervals, median off by {self.error:.4g}"
        return (
            f"{self.file}: {what} {self.filled} values of {self.series} series{judged}, {self.seconds:.1f} s: "
            f"{self.files[0]}"
        )


@dataclass(frozen=True)
class AllMade:
    """All files: where they are, those that went well, and those that did not, with the reason."""

    folder: Path
    done: list[SeriesMade]
    failed: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"folder": str(self.folder), "restored": [asdict(one) for one in self.done], "failed": self.failed}


def restore_series(
    model: Model,
    files: Sequence[Path],
    *,
    horizon: int | None = None,
    simulate: bool = False,
    samples: int = 100,
    seed: int = 0,
    label: Labels = None,
    where: Mapping[str, Any] | None = None,
    out: Path | None = None,
    view: Callable[[str], AbstractContextManager[Progress]] | None = None,
    told: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> AllMade:
    """Forecasts the series of files, or fills their gaps, into a new folder.

    Args:
        model: of signals, from `load`.
        files: .csv (`data.timetable`), .ts or .npy; empty cells, ? and NaN are gaps.
        horizon: steps ahead of the last; None fills gaps.
        simulate: the last `horizon` steps of the files are held back first, and compared with afterwards.
        samples, seed, label, where, options: as of `forecast`.
        out: a folder that does not exist or is empty; restored-1, numbered, if absent.
        view: makes a progress display of each file's name.
        told: is told what became of each file.

    Raises:
        UserError: what no file could be served with, or none that could; nothing is then written.
    """
    series_shape(model)
    if not files:
        raise UserError("name at least one file with series: .csv, .ts or .npy")
    if samples < 1:
        raise UserError(f"samples must be at least 1, got {samples}")
    if simulate and horizon is None:
        raise UserError("--simulate holds back the last steps of a forecast: give --forecast too")
    folder = new_folder(out, Path(), "restored")
    asked = {"samples": samples, "seed": seed, "label": label, "where": where, **options}
    done: list[SeriesMade] = []
    failed: dict[str, str] = {}
    for path in files:
        started = time.perf_counter()
        try:
            given = read_series(path, model)
            with view(path.name) if view is not None else nullcontext(lambda done, total: None) as progress:
                drawn, truth = _drawn(model, given, horizon, simulate, {**asked, "progress": progress})
        except UserError as error:
            failed[str(path)] = str(error)
            if len(files) > 1:
                told(f"{path}: not restored: {error}")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        stem = path.stem
        while (folder / f"{stem}.csv").exists():  # files of one name from several folders
            stem += "-again"
        outcome = _written(folder, stem, path, given, drawn, truth, horizon, time.perf_counter() - started)
        done.append(outcome)
        told(outcome.sentence())
    if not done:
        reasons = [text if str(path) in text else f"{path}: {text}" for path, text in failed.items()]
        raise UserError(reasons[0] if len(files) == 1 else "none of the files could be restored: see above")
    result = AllMade(folder, done, failed)
    settings = {**SETTINGS, "samples": samples, "seed": seed, "horizon": horizon, "label": label, "where": where}
    about = {"model": model.origin, "weights": model.weights_hash, "settings": {**settings, **options}}
    text = json.dumps({**about, **result.to_json()}, indent=1, default=str)
    (folder / "forecast.json").write_text(text + "\n", encoding="utf-8")
    return result


def _drawn(
    model: Model, given: Given, horizon: int | None, simulate: bool, asked: dict[str, Any]
) -> tuple[list[Draws], list[np.ndarray] | None]:
    """The draws of each series, and the truth where it is known."""
    seen, truth = [], []
    for values in given.values:
        channels, steps = values.shape
        whole = values.copy()
        if horizon is not None:
            if horizon < 1:
                raise UserError(f"a forecast is of at least 1 step, got a horizon of {horizon}")
            past = steps - horizon if simulate else steps
            if past < 1:
                raise UserError(f"{given.path}: of {steps} steps {horizon} cannot be held back: none would be left")
            whole = np.concatenate([values[:, :past], np.full((channels, horizon), math.nan)], 1)
            known = model.item_shape[1]
            if past + horizon > known:
                raise UserError(
                    f"{given.path}: {past} steps and {horizon} ahead are {past + horizon}, and the model knows series "
                    f"of {known}: give " + (f"the last {known - horizon}" if horizon < known else "a shorter horizon")
                )
        elif not np.isnan(values).any():
            continue
        seen.append(whole)
        truth.append(values)
    if not seen:
        raise UserError(f"{given.path}: no value is missing; leave gaps empty, or ask for --forecast STEPS")
    if horizon is None:
        seen = list(given.values)
    found: list[Draws] = []
    for length in dict.fromkeys(one.shape[1] for one in seen):
        rows = [i for i, one in enumerate(seen) if one.shape[1] == length]
        drawn = fill(model, np.stack([seen[i] for i in rows]), **asked)
        found += [Draws(drawn.seen[j : j + 1], drawn.samples[j : j + 1]) for j in range(len(rows))]
    order = [
        i for length in dict.fromkeys(o.shape[1] for o in seen) for i, o in enumerate(seen) if o.shape[1] == length
    ]
    placed = [found[order.index(i)] for i in range(len(seen))]
    return placed, truth if simulate else None


def _written(
    folder: Path,
    stem: str,
    path: Path,
    given: Given,
    drawn: list[Draws],
    truth: list[np.ndarray] | None,
    horizon: int | None,
    seconds: float,
) -> SeriesMade:
    files = [folder / f"{stem}{end}" for end in (".csv", "-quantiles.csv", "-draws.npy", ".png")]
    head = (["series"] if given.several else []) + [given.time or "step"]
    with files[0].open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*head, *given.channels])
        for i, one in enumerate(drawn):
            middle = one.quantile(0.5)[0]
            for step in range(middle.shape[1]):
                writer.writerow([*given.place(i, step), *(_cell(v) for v in middle[:, step])])
    with files[1].open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = [f"q{round(100 * level):02d}" for level in LEVELS] + ["mean"] + (["truth"] if truth else [])
        writer.writerow([*head, *(f"{channel}_{name}" for channel in given.channels for name in names)])
        for i, one in enumerate(drawn):
            parts = [*(one.quantile(level)[0] for level in LEVELS), one.mean[0]]
            if truth is not None:
                parts.append(torch.from_numpy(truth[i]))
            absent = one.seen[0].isnan()
            for step in range(absent.shape[1]):
                if not bool(absent[:, step].any()):
                    continue
                # What was seen has no quantiles: its cells are empty.
                cells = [
                    _cell(part[c, step]) if bool(absent[c, step]) else ""
                    for c in range(len(given.channels))
                    for part in parts
                ]
                writer.writerow([*given.place(i, step), *cells])
    longest = max(one.samples.shape[-1] for one in drawn)
    padded = [torch.nn.functional.pad(o.samples, (0, longest - o.samples.shape[-1]), value=math.nan) for o in drawn]
    np.save(files[2], torch.cat(padded).numpy(), allow_pickle=False)
    fans = [
        Fan(
            " ".join(part for part in (given.names[i] if given.several else "", given.title(c)) if part),
            one.seen[0, c].double().numpy(),
            one.samples[0, :, c],
            None if truth is None else truth[i][c],
            partial(given.time_at, i),
        )
        for i, one in enumerate(drawn)
        for c in range(len(given.channels))
        if bool(one.seen[0, c].isnan().any())
    ]
    draw_fans(fans[:_PANELS], files[3], x_label=given.time or "step")
    notes = list(given.notes)
    if len(fans) > _PANELS:
        notes.append(f"the chart shows the first {_PANELS} of {len(fans)}")
    covered, error = (None, None) if truth is None else _judged(drawn, truth)
    return SeriesMade(
        file=str(path),
        files=[str(file) for file in files],
        series=len(drawn),
        channels=given.channels,
        steps=longest,
        horizon=horizon,
        filled=sum(int(one.seen.isnan().sum()) for one in drawn),
        seconds=seconds,
        covered=covered,
        error=error,
        notes=tuple(notes),
    )


def _judged(drawn: list[Draws], truth: list[np.ndarray]) -> tuple[float, float]:
    """The share of held-back values within intervals of 90 %, and the mean distance of the median."""
    inside, errors = [], []
    for one, values in zip(drawn, truth, strict=True):
        real = torch.from_numpy(values)
        low, middle, high = (quantile(one.samples, share)[0].double() for share in (0.05, 0.5, 0.95))
        held = one.seen[0].isnan() & ~real.isnan()
        inside.append(((real >= low) & (real <= high))[held].double())
        errors.append((real - middle).abs()[held])
    return torch.cat(inside).mean().item(), torch.cat(errors).mean().item()


def _cell(value: torch.Tensor) -> str:
    return f"{float(value):.7g}"
