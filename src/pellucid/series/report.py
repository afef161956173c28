"""What the page of a model of signals shows beside its samples: their likeness to data, and forecasts."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config import resolve
from ..data.arrays import Dataset
from ..foundations.errors import UserError
from ..foundations.measured import Measured
from ..generate import sample
from ..model import Model
from ..report import Evaluation, Section, Shown, Table, Text, Verdict
from ..train.prepare import open_split
from ..train.run import Run
from .fan import Fan, draw_fans
from .plots import CLASSES, draw_beside, draw_time
from .score import Forecasts, autocorrelation_gap, baselines, discriminative, forecast_items

MARK = "series-"
_LINE = "series_forecasts"  # of the run's metrics
_FORECASTS = 6
_MOST = 512
_GAP = 0.1  # of autocorrelations: where the curves on the page visibly part
_COVERED = (0.8, 0.97)  # what intervals of 90 % may cover: below, they are too sure; above, they say too little


def evaluate_series(run: Run, model: Model) -> Evaluation:
    """Measures a model of signals on its run's held-out series, and makes the pictures of its page.

    Args:
        run: where the data are named and the pictures go.
        model: its model.
    """
    started = time.perf_counter()
    try:
        train, held = open_split(resolve([("", run.config)]).config)
    except UserError as gone:  # the page is of use without them
        return Evaluation((), (Verdict(f"Nothing was measured, for the data are gone: {gone}", False),))
    data = held if len(held) >= 16 else train
    real, labels = _some(data, _MOST, model)
    # As many of each class as there are among the real ones: else classes, not series, would be told apart.
    asked = None if labels is None else [model.card.label_names[k] for k in labels.tolist()]
    made = sample(model, len(real), label=asked, force=True)
    score = discriminative(made, real)
    known = _some(train, 4096, model)[0]
    floor = discriminative(known[torch.randperm(len(known), generator=torch.Generator().manual_seed(0))], real)
    gap = autocorrelation_gap(made, real)
    middle = time.perf_counter()
    ahead = forecast_items(model, data)
    rules = {"the model": ahead, **baselines(ahead, known)}
    numbers = (
        score,
        Measured(
            "discriminative_floor", floor.value, floor.low, floor.high, floor.count, label="The same of real ones"
        ),
        gap,
        ahead.coverage(),
        ahead.crps(),
        ahead.pinball(),
    )
    run.append({"kind": _LINE, "weights": model.weights_hash, "rows": [_row(name, f) for name, f in rules.items()]})
    pictures = _pictures(run, model, data, (made, real, labels), ahead)
    timings = {"samples": middle - started, "forecasts": time.perf_counter() - middle}
    return Evaluation(numbers, _verdicts(score, floor, gap, rules), pictures, timings, weights=model.weights_hash)


def series_sections(run: Run, model: Model) -> tuple[Section, ...]:
    """The table of forecasts beside simple rules, as `evaluate_series` left it."""
    lines = [line for line in run.lines(_LINE) if line.get("weights") == model.weights_hash]
    if not lines:
        return ()
    count = lines[-1]["rows"][0]["count"]
    text = Text(
        f"The last quarter of {count} series, given the rest, in the model's scale. CRPS and pinball loss judge whole "
        "distributions, and are the mean distance and half of it where a rule gives one value. ± is half of the 95 % "
        "interval over series."
    )
    head = ("forecast by", "CRPS", "pinball loss", "error of the mean", "within 90 % intervals")
    rows = tuple(
        (row["name"], _pm(row["crps"]), _pm(row["pinball"]), round(row["error"], 3), _covered(row))
        for row in lines[-1]["rows"]
    )
    return (Section("Forecasts beside simple rules", (text, Table("", head, rows))),)


def _row(name: str, found: Forecasts) -> dict[str, Any]:
    covered, crps, pinball = found.coverage(), found.crps(), found.pinball()
    return {
        "name": name,
        "crps": [crps.value, (crps.high or 0) - crps.value],
        "pinball": [pinball.value, (pinball.high or 0) - pinball.value],
        "error": found.error(),
        "covered": covered.value if found.samples.shape[1] > 1 else None,
        "count": crps.count,
    }


def _pm(pair: list[float]) -> str:
    return f"{pair[0]:.3f} ± {pair[1]:.3f}"


def _covered(row: dict[str, Any]) -> str:
    return "one value" if row["covered"] is None else f"{100 * row['covered']:.0f} %"


def _verdicts(score: Measured, floor: Measured, gap: Measured, rules: dict[str, Forecasts]) -> tuple[Verdict, ...]:
    ahead = rules["the model"]
    coverage, crps = ahead.coverage(), ahead.crps()
    worse = [name for name, one in rules.items() if name != "the model" and one.crps().value <= crps.value]
    beside = "better than every simple rule" if not worse else f"no better than {', '.join(worse)}"
    covered = _COVERED[0] <= coverage.value <= _COVERED[1]
    assert score.low is not None
    alike = score.low <= max(floor.value, 0.05)
    return (
        Verdict(
            f"A classifier tells samples from held-out series {50 + 100 * score.value:.0f} times in 100, and training "
            f"series from held-out ones {50 + 100 * floor.value:.0f} times; 50 is by chance.",
            alike,
        ),
        Verdict(
            f"The autocorrelation of samples is off that of held-out series by at most {gap.value:.2f}, give or take "
            f"{(gap.high or 0) - gap.value:.2f}.",
            (gap.low or 0) <= _GAP,
        ),
        Verdict(
            f"Forecasts of the last quarter have a CRPS of {crps.value:.3f}, {beside}; {100 * coverage.value:.0f} % of "
            "what came is within intervals of 90 %.",
            not worse and covered,
        ),
    )


def _some(data: Dataset, most: int, model: Model) -> tuple[Tensor, Tensor | None]:
    """Items at equal distances, and their classes."""
    rows = np.linspace(0, len(data) - 1, min(most, len(data))).astype(np.int64)
    x, labels = data.fetch(rows)
    return x.to(model.device), labels


def _pictures(
    run: Run, model: Model, data: Dataset, shown: tuple[Tensor, Tensor, Tensor | None], ahead: Forecasts
) -> tuple[Shown, ...]:
    folder = run.path / "samples"
    folder.mkdir(exist_ok=True)
    mark = model.weights_hash[:8]
    beside, over_time, fans = (folder / f"{MARK}{what}-{mark}.png" for what in ("beside", "time", "forecasts"))
    made, real, labels = shown
    names = model.card.label_names if labels is not None else ("",)
    place = torch.zeros(len(made), dtype=torch.int64) if labels is None else labels

    def by_class(x: Tensor) -> list[NDArray[np.float64]]:
        return [_values(model, x[(place == k).to(x.device)]) for k in range(len(names))]

    draw_beside(by_class(made), by_class(real), names, beside)
    draw_time(made, real, over_time)
    draw_fans(_fans(model, ahead), fans)
    return (
        Shown(
            f"samples/{beside.name}",
            "Like the data?",
            "Samples at the left beside held-out data at the right" + ("" if labels is None else ", class by class"),
            "As many samples of each class as there are series, none chosen; black is their mean. First channel"
            + (f", first {CLASSES} classes." if len(names) > CLASSES else "."),
        ),
        Shown(
            f"samples/{over_time.name}",
            "Like the data?",
            "Autocorrelation and power spectrum of samples and of data, with bands",
            "Mean over series, and bands that hold eight in ten of them. Where the curves part, time is not learned.",
        ),
        Shown(
            f"samples/{fans.name}",
            "Forecasts",
            "Fan charts of six held-out series and what came",
            "The last quarter given the rest, of held-out series at equal distances in the file, none chosen.",
        ),
    )


def _fans(model: Model, ahead: Forecasts) -> list[Fan]:
    rows = torch.linspace(0, len(ahead.real) - 1, min(_FORECASTS, len(ahead.real))).long().tolist()
    found = []
    for i in rows:
        steps = _steps(ahead.real[i])
        truth = _values(model, ahead.real[i : i + 1])[0, 0, :steps]
        draws = torch.from_numpy(_values(model, ahead.samples[i])[:, 0, :steps])
        unseen = np.arange(steps) >= (ahead.seen if isinstance(ahead.seen, int) else int(ahead.seen[i]))
        found.append(Fan("", np.where(unseen, np.nan, truth), draws, truth))
    return found


def _steps(x: Tensor) -> int:
    """The steps of a series (C, L) up to its end."""
    return int((~x.isnan()).any(0).nonzero().max()) + 1


def _values(model: Model, x: Tensor) -> NDArray[np.float64]:
    return np.asarray(model.decode(x), np.float64)
