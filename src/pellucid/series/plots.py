"""Pictures of a page of signals: samples beside data, class by class, and what time holds together in both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .score import autocorrelations, spectra

MADE, REAL = "#3465a4", "#cc6600"
CLASSES = 6
_LINES = 40
_BAND = (0.1, 0.9)


def draw_beside(made: Sequence[NDArray[Any]], real: Sequence[NDArray[Any]], names: Sequence[str], path: Path) -> None:
    """Samples beside data: a row for each class, of the first channel.

    Args:
        made, real: of each class the items (N, C, L), in the data's units.
        names: of the classes; one empty name where there are none.
        path: where the picture goes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here, as it takes a second
    from matplotlib.figure import Figure

    rows = min(CLASSES, len(names))
    figure = Figure(figsize=(9, 2.2 * rows + 0.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 2, squeeze=False, sharex=True, sharey="row")
    for row in range(rows):
        for plot, items, colour in zip(axes[row], (made[row], real[row]), (MADE, REAL), strict=True):
            lines = items[np.linspace(0, len(items) - 1, min(_LINES, len(items))).astype(int)] if len(items) else items
            plot.plot(lines[:, 0].T, color=colour, alpha=0.35, lw=0.8)
            if len(items):
                told = ~np.isnan(items[:, 0])
                total = np.where(told, items[:, 0], 0).sum(0)
                # behind half of the ends the mean would be that of a few
                mean = np.where(told.sum(0) >= len(items) / 2, total / np.maximum(told.sum(0), 1), np.nan)
                plot.plot(mean, color="black", lw=1.4)
            else:
                plot.text(0.5, 0.5, "none held out", ha="center", transform=plot.transAxes, fontsize=8, color="0.4")
            _tidy(plot)
        if names[row]:
            axes[row, 0].set_ylabel(f"class {names[row]}" if names[row].isdigit() else names[row], fontsize=9)
    axes[0, 0].set_title("samples", fontsize=10, color=MADE)
    axes[0, 1].set_title("data, held out", fontsize=10, color=REAL)
    figure.supxlabel("step", fontsize=9)
    figure.savefig(path)


def draw_time(made: Tensor, real: Tensor, path: Path) -> None:
    """Autocorrelation and spectrum of samples and data (N, C, L), the first channel: the mean over items, and the band
    that holds eight items in ten."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for x, name, colour, style in ((real, "data", REAL, "-"), (made, "samples", MADE, (0, (5, 1.5)))):
        for plot, values, first in ((left, autocorrelations(x), 0), (right, spectra(x), 1)):
            curves = values[:, 0, first:].cpu().numpy()
            steps = np.arange(first, first + curves.shape[1])
            low, high = np.quantile(curves, _BAND, axis=0)
            plot.fill_between(steps, low, high, color=colour, alpha=0.2, lw=0)
            plot.plot(steps, curves.mean(0), color=colour, lw=1.6, ls=style, label=name)
    left.axhline(0, color="0.6", lw=0.8)
    left.set_xlabel("steps apart", fontsize=9)
    left.set_title("autocorrelation", fontsize=10)
    right.set_yscale("log")
    right.set_xlabel("cycles in the length", fontsize=9)
    right.set_title("power spectrum", fontsize=10)
    left.legend(fontsize=8, frameon=False)
    for plot in (left, right):
        _tidy(plot)
    figure.savefig(path)


def _tidy(plot: Any) -> None:
    plot.tick_params(labelsize=8)
    plot.spines[["top", "right"]].set_visible(False)
