"""What the page of a table shows of its measures: verdicts, pictures, and sections with the tables of numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..foundations.measured import format_value
from ..report import Interval, Intervals, Section, Table, Text, Verdict
from .measures import Measures, mean_ratios

ALIKE = 0.65  # trees that tell made from real rows better than this see a difference worth a person's look
NEAR = 0.05  # how much less than real rows made ones may be worth
COVERED = (0.8, 0.97)  # what intervals of 90 % may cover: below, they are too sure; above, they say too little


def verdicts(measures: Measures) -> tuple[Verdict, ...]:
    """What the numbers say, a sentence each."""
    return tuple(_verdicts(measures))


def _verdicts(found: Measures) -> Iterator[Verdict]:
    if found.c2st is not None:
        others = [f"{one.name} {one.c2st.value:.2f}" for one in found.beside if one.c2st is not None]
        beside = f", rows of simple laws {' and '.join(others)}" if others else ""
        text = f"Trees tell made from real rows in {100 * found.c2st.value:.0f} % of cases (50 % is chance{beside})."
        if found.c2st.high is not None and found.c2st.high < 0.5:
            text += " Less than chance: they are more like these very rows than fresh real ones would be."
        yield Verdict(text, found.c2st.value <= ALIKE)
    if found.utility is not None:
        one = found.utility
        text = (
            f"Trained on made rows, trees predict {one.target!r} of held-out rows with {one.measure} "
            f"{one.on_made.value:.2f}, trained on real rows {one.on_real.value:.2f}."
        )
        yield Verdict(text, one.difference.value >= -NEAR)
    ratios = mean_ratios(found.imputed)
    covered = [one.coverage for one in found.imputed.values() if one.coverage is not None]
    if ratios and covered:
        cells = sum(one.count or 0 for one in covered)
        share = sum(one.value * (one.count or 0) for one in covered) / cells
        text = (
            f"Masked numbers are filled in with {ratios['mean'].value:.2f} times the error of the column's mean and "
            f"{ratios['neighbours'].value:.2f} times that of the five nearest rows; intervals of 90 % hold "
            f"{100 * share:.0f} % of {cells} cells."
        )
        yield Verdict(text, ratios["mean"].value < 1 and COVERED[0] <= share <= COVERED[1])
    if found.privacy is not None:
        near = found.privacy.nearer
        others = [f"{one.name} {one.nearer.value:.2f}" for one in found.beside if one.nearer is not None]
        beside = f"; rows of simple laws {' and '.join(others)}" if others else ""
        told = "Made rows are nearer to training rows than fresh ones would be" if found.leak else "No sign of a leak"
        text = (
            f"{told}: {near.value:.2f} of 1 (1/2 is none, {near.low:.2f} to {near.high:.2f}{beside}); "
            f"{round(found.privacy.copies.value * found.num_made):,} of {found.num_made:,} are copies."
        )
        yield Verdict(text, not found.leak)


def picture(measures: Measures) -> bytes | None:
    """Associations of real and of made rows and their difference, and distances to the nearest training row: a PNG.

    None where neither was measured.
    """
    pairs, near = measures.pairs, measures.privacy
    if pairs is None and near is None:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here, as it takes a second
    from matplotlib.figure import Figure

    count = 0 if pairs is None else len(pairs.names)
    side = min(9.0, max(3.2, 0.32 * count + 1.6))
    figure = Figure(figsize=(3 * side, side * (2 if near is not None and pairs is not None else 1)), dpi=100)
    figure.set_layout_engine("constrained", h_pad=0.15)
    FigureCanvasAgg(figure)
    parts: list[Any] = [figure]
    if pairs is not None and near is not None:
        parts = [*np.asarray(figure.subfigures(2, 1))]
    if pairs is not None:
        panels = parts.pop(0).subplots(1, 3, sharey=True)
        shown = (("real rows", pairs.real), ("made rows", pairs.made), ("made - real", pairs.made - pairs.real))
        for axes, (title, matrix) in zip(panels, shown, strict=True):
            drawn = axes.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r")
            axes.set_title(title, fontsize=9)
            names = [name[:20] for name in pairs.names]
            axes.set_xticks(range(count), names, rotation=60, ha="right", fontsize=7)
            axes.set_yticks(range(count), names, fontsize=7)
            for a in range(count if count <= 10 else 0):
                for b in range(count):
                    tone = "white" if abs(matrix[a, b]) > 0.6 else "black"
                    axes.text(b, a, f"{matrix[a, b]:.2f}", ha="center", va="center", fontsize=6, color=tone)
        figure.colorbar(drawn, ax=list(panels), shrink=0.8)
    if near is not None:
        left, right = parts.pop(0).subplots(1, 2)
        for values, name, colour in ((near.made, "made rows", "C0"), (near.held, "held-out rows", "C1")):
            share = np.arange(1, len(values) + 1) / len(values)
            left.step(values, share, where="post", color=colour, label=f"{name}, n = {len(values):,}")
            right.hist(values, bins=24, density=True, histtype="step", color=colour)
        left.set(title="nearest training row", xlabel="distance", ylabel="share of rows nearer than this")
        right.set(title="the same as densities", xlabel="distance")
        left.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def sections(measured: Mapping[str, Any]) -> tuple[Section, ...]:
    """The parts of a page that lay out `Measures.to_json`."""
    return tuple(_sections(measured))


def _sections(found: Mapping[str, Any]) -> Iterator[Section]:
    rows = [one for one in found["columns"] if one["distance"] is not None]
    if rows:
        told = Text(
            "Kolmogorov and Smirnov's distance of numbers and dates, total variation of categories, with what chance "
            "adds taken off: 0 where both laws are equal, 1 where they share no value. Open dots: half of the real "
            "rows against the other half."
        )
        yield Section("Columns", (told, _columns(rows), _missing(rows)) if _gone(rows) else (told, _columns(rows)))
    if found["beside"]:
        told = Text(
            "The same measures of rows by simple laws. Independent columns have each column right and nothing else; a "
            "Gaussian copula keeps how columns go together in pairs, as far as that is monotone. Near training rows: "
            "1/2 is as near as fresh rows are, 1 is copies. Worth for learning: what trees that learned from them do "
            "better or worse than trees that learned from real rows. In brackets, 95 %."
        )
        yield Section("What the model is worth", (told, _beside(found)))
    if found["imputed"]:
        told = Text(
            "Of each held-out row a third of the cells was masked, each in its turn, and drawn given the rest. Errors "
            "are root mean squares in the column's units, of categories the share of wrong guesses; beside them, the "
            "same of the column's mean or most frequent category, its median, and the five nearest training rows."
        )
        yield Section("Masked cells filled in", (told, _imputed(found["imputed"])))
    if found["refused"]:
        table = Table("", ("measure", "why not"), tuple(found["refused"].items()))
        yield Section("Not measured", (table,))


def _columns(rows: list[Mapping[str, Any]]) -> Intervals:
    parts: list[Interval] = []
    for one in rows:
        scored = one["distance"]
        parts.append(Interval(one["name"], scored["value"], scored["low"], scored["high"]))
        if scored["floor"] is not None:
            parts.append(Interval("", scored["floor"], scored["floor"], scored["floor"], group=1, open=True))
    return Intervals("Distance of each column", "distance, 95 %", tuple(parts))


def _gone(rows: list[Mapping[str, Any]]) -> bool:
    return any(one["missing"] is not None for one in rows)


def _missing(rows: list[Mapping[str, Any]]) -> Table:
    told = tuple(
        (one["name"], _with(one["missing"]), "yes" if one["missing"]["low"] > 0 else "no")
        for one in rows
        if one["missing"] is not None
    )
    return Table("Missing cells", ("column", "shares differ by", "more than chance does"), told)


def _beside(found: Mapping[str, Any]) -> Table:
    own = {"name": "this model", **found["scores"], "utility": found["utility"]}
    names = ("column_distance", "association_difference", "c2st", "nearer_to_training")
    rows = []
    for one in (own, *found["beside"]):
        used = one["utility"]
        cells = [_with(one.get(name)) for name in names]
        rows.append((one["name"], *cells, "" if used is None else _with(used["difference"])))
    floors = [found["scores"][name] for name in names]
    rows.append(("real rows", *("" if one is None else _plain(one["floor"] or one["ideal"]) for one in floors), "0"))
    head = ("rows of", "columns differ", "pairs differ", "trees tell apart", "near training rows", "worth for learning")
    return Table("", head, tuple(rows))


def _imputed(found: Mapping[str, Any]) -> Table:
    rows = []
    for name, one in found.items():
        error, others = one["error"], one["others"]
        usual = others.get("mean", others.get("mode"))
        rows.append(
            (
                name,
                one["cells"],
                f"{_plain(error[0])} ({_plain(error[1])} to {_plain(error[2])})",
                _plain(usual),
                _plain(others.get("median")),
                _plain(others["neighbours"]),
                ""
                if one["coverage"] is None
                else "{:.0f} % ({:.0f} to {:.0f})".format(*(100 * v for v in one["coverage"])),
            )
        )
    head = ("column", "cells", "error", "of the mean or mode", "of the median", "of neighbours", "within 90 %")
    return Table("", head, tuple(rows))


def _with(scored: Mapping[str, Any] | None) -> str:
    """A value with its interval."""
    if scored is None:
        return ""
    return f"{scored['value']:.3f} ({scored['low']:.3f} to {scored['high']:.3f})"


def _plain(value: float | None) -> str:
    return "" if value is None else format_value(float(f"{value:.3g}"))
