"""Fan charts: what was seen of a series, the bands that hold half and nine tenths of the draws, and what came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .forecast import quantile

_COLOUR = "#3465a4"
_TICKS = 5
COLUMNS = 3


@dataclass(frozen=True, eq=False)
class Fan:
    """One panel: one channel of one series.

    Attributes:
        title: what stands above it.
        seen: (L,), NaN where nothing was seen.
        draws: (k, L).
        truth: (L,), where it is known; else None.
        time: what stands below a step; its number if None.
    """

    title: str
    seen: NDArray[np.float64]
    draws: Tensor
    truth: NDArray[np.float64] | None = None
    time: Callable[[int], str] | None = None


def draw_fans(fans: Sequence[Fan], path: Path, *, x_label: str = "step", y_label: str = "") -> None:
    """The panels as one picture, at most three in a row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here, as it takes a second
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(fans))
    rows = -(-len(fans) // columns)
    width = 9.0 if columns > 1 else 7.0
    figure = Figure(figsize=(width, 2.5 * rows + 0.7 if columns > 1 else 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for one, plot in zip(fans, axes, strict=False):
        _panel(plot, one)
    for plot in axes[len(fans) :]:
        plot.set_axis_off()
    handles: dict[str, Any] = {}
    for plot in axes[: len(fans)]:  # a panel may lack one: where nothing is known of what came, say
        for handle, label in zip(*plot.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=5, fontsize=8, frameon=False)
    figure.supxlabel(x_label, fontsize=9)
    if y_label:
        figure.supylabel(y_label, fontsize=9)
    figure.savefig(path)


def _panel(plot: Any, one: Fan) -> None:
    steps = np.arange(len(one.seen))
    unseen = np.isnan(one.seen)
    # A band begins at the last value seen, so that a forecast hangs together with its past.
    shown = unseen | np.roll(unseen, -1) | np.roll(unseen, 1)
    shown[0] = unseen[0] or (len(unseen) > 1 and unseen[1])
    shown[-1] = unseen[-1] or (len(unseen) > 1 and unseen[-2])
    low, quarter, middle, upper, high = (
        np.where(shown, quantile(one.draws[None], share)[0].double().cpu().numpy(), np.nan)
        for share in (0.05, 0.25, 0.5, 0.75, 0.95)
    )
    plot.fill_between(steps, low, high, color=_COLOUR, alpha=0.22, lw=0, label="90 % of the draws")
    plot.fill_between(steps, quarter, upper, color=_COLOUR, alpha=0.38, lw=0, label="half of them")
    plot.plot(steps, middle, color=_COLOUR, lw=1.4, label="median")
    if one.truth is not None:
        truth = np.where(shown, one.truth, np.nan)
        plot.plot(steps, truth, color="#cc4400", lw=1.3, ls=(0, (4, 1.5)), label="what came")
    plot.plot(steps, one.seen, color="black", lw=1.3, label="seen")
    alone = ~unseen & np.roll(unseen, 1) & np.roll(unseen, -1)
    plot.plot(steps[alone], one.seen[alone], ".", color="black", ms=4)
    plot.set_title(one.title, fontsize=9)
    plot.tick_params(labelsize=8)
    plot.spines[["top", "right"]].set_visible(False)
    plot.set_xlim(0, max(1, len(steps) - 1))
    plot.xaxis.get_major_locator().set_params(integer=True)
    if one.time is not None and len(steps) > 1:
        ticks = np.unique(np.linspace(0, len(steps) - 1, min(_TICKS, len(steps))).round().astype(int))
        labels = [one.time(int(tick)) for tick in ticks]
        slanted = max(map(len, labels)) > 6
        plot.set_xticks(ticks, labels, rotation=30 if slanted else 0, ha="right" if slanted else "center", fontsize=7)
