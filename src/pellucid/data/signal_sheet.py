"""Signals at one look: a panel for each class, or for each channel where there are no classes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PANELS = 9
_LINES = 40  # in a panel


def signal_sheet(items: NDArray[Any], labels: NDArray[np.int64] | None, names: Sequence[str]) -> Image.Image:
    """Curves of signals (N, C, L), NaN where nothing is: of the first channel, class by class; without classes, channel
    by channel. At most nine panels of forty curves.

    Args:
        items: in the data's units.
        labels: (N,), or None.
        names: of the labels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here, as it takes a second
    from matplotlib.figure import Figure

    if labels is not None:
        kinds = np.unique(labels)[:_PANELS]
        panels = [(f"class {names[k]}", items[labels == k, 0]) for k in kinds]
    else:
        channels = min(items.shape[1], _PANELS)
        panels = [(f"channel {c}" if items.shape[1] > 1 else "", items[:, c]) for c in range(channels)]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(max(6.0, 3.0 * columns), 2.4 * rows + 0.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    shared = labels is not None  # channels have units of their own
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=shared).flatten()
    for place, (title, curves) in enumerate(panels):
        shown = curves[np.linspace(0, len(curves) - 1, min(_LINES, len(curves))).astype(int)]
        axes[place].plot(shown.T, color=f"C{place}", alpha=0.5, lw=0.8)
        axes[place].set_title(title, fontsize=9)
        axes[place].tick_params(labelsize=8)
        axes[place].spines[["top", "right"]].set_visible(False)
    for plot in axes[len(panels) :]:
        plot.set_axis_off()
    figure.supxlabel("step" if labels is None or items.shape[1] == 1 else "step (first channel)", fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
