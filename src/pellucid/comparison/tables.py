"""A comparison as tables, which a page, a terminal and a file of results show alike, and as an axis of text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..foundations.measured import format_value
from ..metrics.base import Scored
from ..report import Interval, duration
from ..score import Score
from .compare import Comparison, tightest_of_all
from .order import difference, quantity, tightest

_MISSING = "–"
_HALF = 1.96  # standard errors to either side of a 95 % interval
_AXIS = 48  # characters


@dataclass(frozen=True)
class Rows:
    """Rows of text under a head, with a title and a line that explains."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: str = ""


def tables(comparison: Comparison) -> tuple[Rows, ...]:
    """Bits/dim, samples, and costs."""
    return _bits(comparison), _quality(comparison), _costs(comparison)


def intervals(comparison: Comparison) -> tuple[Interval, ...]:
    """Every score with its 95 % interval over items, a model after the other, each from its loosest bound down."""
    found = []
    for group, entry in enumerate(comparison.entries):
        for score in entry.scores:
            what, half = quantity(score.method), _HALF * score.over_items
            name, value = f"{entry.name} {what.short}", score.bits_per_dim
            found.append(Interval(name, value, value - half, value + half, group, open=not what.bound))
    return tuple(found)


def axis_lines(comparison: Comparison) -> Iterator[str]:
    """`intervals` on one axis of characters: a full dot is a bound, an open one an estimate."""
    rows = intervals(comparison)
    low, high = min(row.low for row in rows), max(row.high for row in rows)
    width = max(len(row.name) for row in rows)

    def place(value: float) -> int:
        return round((value - low) / max(high - low, 1e-12) * (_AXIS - 1))

    for row in rows:
        line = [" "] * _AXIS
        line[place(row.low) : place(row.high) + 1] = "─" * (place(row.high) - place(row.low) + 1)
        line[place(row.value)] = "○" if row.open else "●"
        yield f"{row.name:<{width}}  {''.join(line)}  {row.value:.3f}"
    yield f"{'bits/dim':<{width}}  {low:<{_AXIS // 2}.3f}{high:>{_AXIS - _AXIS // 2}.3f}"


def _bits(comparison: Comparison) -> Rows:
    best = tightest_of_all(comparison.entries)
    rows = []
    for entry in comparison.entries:
        own = tightest(entry.scores)
        for score in entry.scores:
            what = quantity(score.method)
            behind = _MISSING
            if score is own and entry is not best:
                gap, error = difference(own, tightest(best.scores), comparison.num_values)
                behind = f"+{gap:.4f} ± {_HALF * error:.4f}"
            given = "label" if comparison.labelled and entry.contestant.label_names else _MISSING
            rows.append(
                (
                    entry.name,
                    what.short,
                    "bound" if what.bound else "estimate",
                    given,
                    f"{score.bits_per_dim:.4f} ± {_HALF * score.over_items:.4f}",
                    _draws(score),
                    behind,
                    f"{score.evaluations + score.products:,}",
                    duration(score.seconds),
                )
            )
    head = ("model", "by", "is a", "given", "bits/dim", "method", "behind the best", "calls", "time")
    used = {quantity(score.method).short: quantity(score.method) for e in comparison.entries for score in e.scores}
    below = " ".join(f"{name}: {what.says}." for name, what in used.items())
    return Rows(
        "Bits for each value, lower is better",
        head,
        tuple(rows),
        f"Over {comparison.items:,} items, with 95 % intervals over items as a sample; under method, the part that the "
        f"method's random numbers make. The bounds of two models are subtracted item by item. {below}",
    )


def _quality(comparison: Comparison) -> Rows:
    judge = comparison.judge
    rows: list[tuple[str, ...]] = []
    floors: dict[str, float] = {}
    for entry in comparison.entries:
        if entry.quality is None or entry.drawn is None:
            rows.append((entry.name, *(_MISSING,) * 5))
            continue
        metrics, agreement = entry.quality.metrics, entry.quality.agreement
        floors |= {name: scored.floor for name, scored in metrics.items() if scored.floor is not None}
        shown = [_MISSING] * 3
        for at, name in enumerate(("kid", "precision", "recall")):
            shown[at] = _with_interval(metrics[name]) if name in metrics else _MISSING
        asked = _MISSING if agreement is None else f"{100 * agreement.value:.1f} %"
        rows.append((entry.name, f"{len(entry.drawn.samples):,}", *shown, asked))
    halves = [format_value(floors[name]) if name in floors else _MISSING for name in ("kid", "precision", "recall")]
    accuracy = _MISSING if judge.accuracy is None else f"{100 * judge.accuracy.value:.1f} %"
    rows.append(("real items", f"{comparison.real:,}", *halves, accuracy))
    head = ("model", "n", "KID", "precision", "recall", "shows its label")
    below = (
        f"Samples at each model's own settings against {comparison.real:,} held-out items, in features {judge.words} "
        "scaled to a root mean square of 1. The last row is one half of the real items against the other, and the "
        "classifier's own accuracy."
    )
    return Rows("Samples", head, tuple(rows), below)


def _costs(comparison: Comparison) -> Rows:
    rows = []
    for entry in comparison.entries:
        training, drawn = entry.contestant.training, entry.drawn
        rows.append(
            (
                entry.name,
                entry.contestant.kind,
                f"{entry.contestant.parameters:,}",
                _MISSING if training is None else f"{training[0]:,}",
                _MISSING if training is None else duration(training[1]),
                _MISSING if drawn is None else f"{1000 * drawn.seconds / len(drawn.samples):.3g} ms",
                _MISSING if drawn is None else f"{drawn.calls:g}",
            )
        )
    head = ("model", "kind", "parameters", "items seen", "training", "a sample", "calls a sample")
    below = f"{_MISSING}: not recorded, or not possible. A call is one item through one network."
    return Rows("Costs", head, tuple(rows), below)


def _draws(score: Score) -> str:
    return f"± {_HALF * score.of_estimator:.4f}" if score.of_estimator == score.of_estimator else _MISSING


def _with_interval(scored: Scored) -> str:
    if scored.low is None or scored.high is None:
        return format_value(scored.value)
    return f"{scored.value:.3f} ({scored.low:.3f} to {scored.high:.3f})"
