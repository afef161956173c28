"""Rows at one look: every column, and the pairs of numbers that hang together most, several tables over one another."""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .table_codec import TableCodec
from .table_schema import Field

Rows = NDArray[np.float64]
_MOST_COLUMNS, _MOST_PAIRS, _MOST_BARS = 24, 4, 12
_DAY, _BINS = 86400.0, 30


def look_at(codec: TableCodec, tables: Mapping[str, NDArray[np.float32]]) -> bytes:
    """A picture, PNG, of packed rows by what they are called, the first behind the others.

    A panel for each column, shares as bars and numbers as a density; and for each of the up to four pairs of numbers
    with the largest rank correlation in the first table, a cloud of points.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here, as it takes a second
    from matplotlib.figure import Figure

    cells = {name: codec.unpack(packed) for name, packed in tables.items()}
    shown = [j for j, one in enumerate(codec.fields) if one.numeric or one.kind == "category"][:_MOST_COLUMNS]
    pairs = closest_pairs(codec, next(iter(cells.values())))
    count = len(shown) + len(pairs)
    across = min(4, count)
    down = -(-count // across)
    figure = Figure(figsize=(3.1 * across, 2.5 * down), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, j in zip(panels, shown, strict=False):
        _column(axes, codec.fields[j], {name: rows[:, j] for name, rows in cells.items()})
    for axes, (a, b) in zip(panels[len(shown) :], pairs, strict=False):
        for k, (name, rows) in enumerate(cells.items()):
            axes.scatter(rows[:, a], rows[:, b], s=5, color=f"C{k}", alpha=0.5, linewidths=0, label=name)
        axes.set_xlabel(codec.fields[a].name)
        axes.set_ylabel(codec.fields[b].name)
    for axes in panels[count:]:
        axes.set_axis_off()
    named = panels[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=len(cells), frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def closest_pairs(codec: TableCodec, cells: Rows) -> list[tuple[int, int]]:
    """The pairs of columns of numbers with the largest rank correlation, at most four, over rows that have both."""
    from scipy.stats import rankdata

    numeric = [j for j, one in enumerate(codec.fields) if one.numeric]
    found: list[tuple[float, tuple[int, int]]] = []
    for a, b in combinations(numeric, 2):
        both = cells[~np.isnan(cells[:, [a, b]]).any(1)][:, [a, b]]
        if len(both) > 2 and (both.min(0) < both.max(0)).all():
            found.append((-abs(np.corrcoef(rankdata(both[:, 0]), rankdata(both[:, 1]))[0, 1]), (a, b)))
    return [pair for _, pair in sorted(found)[:_MOST_PAIRS]]


def _column(axes: Any, one: Field, tables: Mapping[str, NDArray[np.float64]]) -> None:
    width = 0.8 / len(tables)
    if one.numeric:
        low, high = one.values[0], one.values[-1]
        scale = _DAY if one.kind == "date" else 1.0
        edges = np.linspace(low, high, _BINS + 1) / scale if high > low else np.array([low - 0.5, low + 0.5]) / scale
        for k, (name, values) in enumerate(tables.items()):
            there = values[~np.isnan(values)] / scale
            share = np.histogram(there, edges)[0] / max(1, len(there))
            axes.stairs(share, edges, fill=k == 0 and len(tables) > 1, color=f"C{k}", alpha=0.9, label=name)
    else:
        names = [*one.categories, *(["missing"] if one.missing else [])]
        for k, (name, values) in enumerate(tables.items()):
            ids = np.where(np.isnan(values), len(one.categories), values).astype(int)
            share = np.bincount(ids, minlength=len(names))[: len(names)] / max(1, len(ids))
            order = np.arange(min(len(names), _MOST_BARS))
            axes.barh(order + (k - (len(tables) - 1) / 2) * width, share[order], width, color=f"C{k}", label=name)
        axes.set_yticks(np.arange(min(len(names), _MOST_BARS)), [word[:14] for word in names[:_MOST_BARS]], fontsize=7)
        axes.invert_yaxis()
    gone = ", ".join(f"{100 * np.isnan(values).mean():.0f} %" for values in tables.values())
    missing = f" (missing {gone})" if one.numeric and one.missing else ""
    unit = ", days since 1970" if one.kind == "date" else ""
    axes.set_title(f"{one.name}{unit}{missing}"[:44], fontsize=8)
    axes.tick_params(labelsize=7)
