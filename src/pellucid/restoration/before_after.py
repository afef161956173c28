"""What was seen beside what was restored: one sheet for all files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_SIDE = 360  # pixels of a picture's longer side on the sheet
_GAP, _LINE = 8, 20


@dataclass(frozen=True)
class Row:
    """One file on the sheet.

    Attributes:
        title: what stands above it.
        pictures: (heading, picture (C, H, W) in [-1, 1]), of which the first channel is shown where it is neither grey
            nor colour; signals (C, L) and vectors (D,) are drawn as lines.
    """

    title: str
    pictures: Sequence[tuple[str, Tensor]]


def sheet(rows: Sequence[Row]) -> Image.Image:
    """A row for each file: pictures at one size, side by side; lines of signals and vectors in one plot."""
    strips = [_pictures(row) if row.pictures[0][1].ndim == 3 else _lines(row) for row in rows]
    width = max(strip.width for strip in strips)
    whole = Image.new("RGB", (width, sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        whole.paste(strip, (0, top))
        top += strip.height
    return whole


def _pictures(row: Row) -> Image.Image:
    height, width = row.pictures[-1][1].shape[1:]
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    column = max(size[0], 120)
    strip = Image.new("RGB", (_GAP + len(row.pictures) * (column + _GAP), 2 * _LINE + size[1] + _GAP), "white")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(13)
    draw.text((_GAP, 3), row.title, fill="black", font=font)
    for place, (heading, picture) in enumerate(row.pictures):
        left = _GAP + place * (column + _GAP)
        draw.text((left, _LINE + 2), heading, fill="black", font=font)
        if len(picture) not in (1, 3):
            picture = picture[:1]
        levels = ((picture.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255).byte().numpy()
        pixels = np.broadcast_to(np.moveaxis(levels, 0, -1), (*levels.shape[1:], 3))
        small = Image.fromarray(np.ascontiguousarray(pixels))
        # Fewer pixels than the sheet shows are shown as squares, so that it looks as coarse as it is.
        enlarged = small.width < size[0]
        method = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
        strip.paste(small.resize(size, method), (left, 2 * _LINE))
    return strip


def _lines(row: Row) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here, as it takes a second
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, (heading, values) in enumerate(row.pictures):
        for line in values.detach().cpu().reshape(-1, values.shape[-1])[:3]:
            style = "." if heading == "seen" else "-"
            axes.plot(line.numpy(), style, color=f"C{place}", label=heading, lw=0.9, ms=2.5)
            heading = ""
    axes.set_title(row.title, fontsize=9)
    axes.legend(fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
