r"""What an evaluation shows: nearest real neighbours of samples, the best and the worst samples, and coverage gaps.

A ball around each real item y reaches to its k-th nearest real neighbour, at the distance r(y). A sample x is as real
as

    realism(x) = max over y of r(y) / |x - y|,                                                                      (1)

at least 1 where x lies in a ball (Kynkaanniemi et al., "Improved Precision and Recall Metric", 2019, eq. 5). A real
item is missed as far as

    gap(y) = |y - nearest sample| / r(y)                                                                            (2)

exceeds 1: what coverage counts, one by one. Gaps are shown from the greatest on, without items that one shown already
reaches, or that reach it, so that each picture stands for a region.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.codecs import Codec
from ..data.grid import picture_grid
from ..metrics.distances import blocks, nearest, squared
from ..report import Shown
from .numbers import Rows

_K = 5
_PAIRS = 8  # samples shown with their neighbours
_NEIGHBOURS = 3
_SHOWN = 16  # of the best, the worst and the gaps
_SIDE = 56  # pixels of a picture on the page, about


@dataclass(frozen=True, eq=False)
class Found:
    """Places of what is to be seen.

    Attributes:
        realism: (1) of each sample, (N,).
        gap: (2) of each real item, (M,).
        reach: r(y), (M,).
        nearest_sample: of each real item, (M,).
    """

    realism: Tensor
    gap: Tensor
    reach: Tensor
    nearest_sample: Tensor

    @classmethod
    def of(cls, rows: Rows) -> Found:
        """From the rows of both samples."""
        real = rows.real
        reach = nearest(real, real, min(_K, len(real) - 1), apart=True)[0][:, -1].sqrt()
        realism = torch.cat(
            [(reach / squared(part, real).sqrt().clamp_min(1e-12)).amax(1) for _, part in blocks(rows.made, len(real))]
        )
        distance, at = nearest(real, rows.made, 1)
        return cls(realism, distance[:, 0].sqrt() / reach.clamp_min(1e-12), reach, at[:, 0])

    def regions(self, real: Tensor, most: int) -> list[int]:
        """Real items that stand for the regions with the greatest gaps, the farthest first."""
        chosen: list[int] = []
        for i in torch.argsort(self.gap, descending=True).tolist():
            if len(chosen) == most:
                break
            if chosen:
                apart = squared(real[i : i + 1], real[chosen])[0].sqrt()
                if bool((apart <= torch.maximum(self.reach[chosen], self.reach[i])).any()):
                    continue
            chosen.append(i)
        return chosen


@dataclass(frozen=True, eq=False)
class Shows:
    """Items of both samples, and where pictures of them go.

    Attributes:
        made, real: in the data's own units, (N, *) and (M, *).
        train: likewise; None where they are gone.
        codec: of the items.
        rows: what they are compared by.
        folder: for the pictures.
        mark: the beginning of their names.
    """

    made: Any
    real: Any
    train: Any
    codec: Codec
    rows: Rows
    folder: Path
    mark: str

    def all(self) -> tuple[Shown, ...]:
        """All that is to be seen of these items."""
        found = Found.of(self.rows)
        if self.codec.kind == "points":
            return (self._scatter(found),)
        return (self._neighbours(), *self._extremes(found), *self._gaps(found))

    def _neighbours(self) -> Shown:
        chosen = list(range(min(_PAIRS, len(self.made))))
        x = self.rows.made[chosen]
        beside = [(self.real, self.rows.real)]
        head = ["sample", "held-out", "", ""]
        if self.rows.train is not None:
            beside.append((self.train, self.rows.train))
            head += ["training", "", ""]
        indices = [nearest(x, rows, min(_NEIGHBOURS, len(rows)))[1] for _, rows in beside]
        cells = []
        for place, i in enumerate(chosen):
            cells.append(np.asarray(self.made[i]))
            for (items, _), at in zip(beside, indices, strict=True):
                cells += [np.asarray(items[int(j)]) for j in at[place]]
        columns = len(cells) // len(chosen)
        file = self._draw("neighbours", cells, columns)
        told = "The first samples, not chosen, each with its nearest held-out"
        told += " and training items, the nearest first" if len(beside) > 1 else " items, the nearest first"
        return Shown(
            file,
            "Nearest real neighbours",
            f"{len(chosen)} rows: a sample at the left, and beside it the real items nearest to it",
            f"{told}, by the features. A sample nearer to a training item than to any held-out one may be a copy.",
            columns=tuple(head[:columns]) if columns == len(head) else (),
        )

    def _extremes(self, found: Found) -> tuple[Shown, Shown]:
        order = torch.argsort(found.realism)
        count = min(_SHOWN, len(order) // 2)
        outside = int((found.realism < 1).sum())
        shown = []
        for name, at, title, words in (
            ("worst", order[:count], "Worst samples", "lie farthest outside the balls of held-out items"),
            ("best", order.flip(0)[:count], "Best samples", "lie deepest inside them"),
        ):
            cells = [np.asarray(self.made[int(i)]) for i in at]
            caption = f"Of {len(self.made):,} samples the {count} that {words}; {outside:,} of all lie outside."
            alt = f"The {count} {name} of {len(self.made):,} samples"
            file = self._draw(name, cells, max(1, math.ceil(count / 2)))
            shown.append(Shown(file, "Worst and best samples", alt, f"{title}. {caption}"))
        return shown[0], shown[1]

    def _gaps(self, found: Found) -> tuple[Shown, ...]:
        chosen = found.regions(self.rows.real, _SHOWN // 2)
        missed = int((found.gap > 1).sum())
        cells = [np.asarray(self.real[i]) for i in chosen]
        cells += [np.asarray(self.made[int(found.nearest_sample[i])]) for i in chosen]
        file = self._draw("gaps", cells, len(chosen))
        far = ", ".join(f"{float(found.gap[i]):.1f}" for i in chosen)
        return (
            Shown(
                file,
                "What the model misses",
                f"{len(chosen)} held-out items that have no sample near them, and below each the sample nearest to it",
                f"{missed:,} of {len(self.real):,} held-out items have no sample as near as their {_K} nearest real "
                f"neighbours. Above, held-out items of the greatest gaps; below, the sample nearest to each. It is so "
                f"many times as far away as those neighbours reach: {far}.",
                rows=("real", "nearest"),
            ),
        )

    def _draw(self, name: str, cells: list[Any], columns: int) -> str:
        stacked = np.stack(cells)
        if self.codec.kind == "image":
            if stacked.shape[1] not in (1, 3):
                stacked = stacked[:, :1]
            picture = picture_grid(stacked, columns=columns, scale=max(1, round(_SIDE / stacked.shape[-1])), pad=2)
        else:
            picture = curves(stacked, columns)
        return self._saved(name, picture)

    def _saved(self, name: str, picture: Image.Image) -> str:
        file = f"{self.mark}{name}.png"
        picture.save(self.folder / file)
        return file

    def _scatter(self, found: Found) -> Shown:
        chosen = [i for i in found.regions(self.rows.real, _SHOWN) if found.gap[i] > 1]
        count = min(_SHOWN, len(found.realism) // 10 + 1)
        worst = torch.argsort(found.realism)[:count]
        parts: list[tuple[str, Any, dict[str, Any]]] = [
            ("held-out items", self.real, {"color": "0.6", "s": 8}),
            ("samples", self.made, {"color": "C0", "s": 3}),
            (f"the {count} worst samples", self.made[worst.numpy()], {"color": "C3", "marker": "x", "s": 40}),
        ]
        if chosen:
            words = f"{len(chosen)} held-out items in gaps"
            parts.append((words, self.real[chosen], {"edgecolors": "C1", "facecolors": "none", "s": 70}))
        missed = int((found.gap > 1).sum())
        return Shown(
            self._saved("scatter", scatter(parts)),
            "Samples and what the model misses",
            "Held-out items and samples over the first two numbers, with the worst samples and the gaps marked",
            f"{missed:,} of {len(self.real):,} held-out items have no sample as near as their {_K} nearest real "
            f"neighbours; {int((found.realism < 1).sum()):,} of {len(self.made):,} samples lie outside the balls of "
            "held-out items.",
        )


def curves(items: Any, columns: int) -> Image.Image:
    """Signals (N, C, L) as a grid of small plots with one scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here, as it takes a second
    from matplotlib.figure import Figure

    rows = math.ceil(len(items) / columns)
    figure = Figure(figsize=(1.1 * columns, 0.8 * rows), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for place, plot in enumerate(axes.flatten()):
        plot.set_xticks([])
        plot.set_yticks([])
        if place < len(items):
            plot.plot(np.asarray(items[place]).T, lw=0.8)
    return _drawn(canvas)


def scatter(parts: Sequence[tuple[str, Any, dict[str, Any]]]) -> Image.Image:
    """Points (N, D) over their first two numbers; of one number, over their place."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5.5), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for height, (name, items, style) in enumerate(parts):
        items = np.asarray(items)
        y = items[:, 1] if items.shape[1] > 1 else np.full(len(items), float(-height))
        axes.scatter(items[:, 0], y, label=name, **style)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return _drawn(canvas)


def _drawn(canvas: Any) -> Image.Image:
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
