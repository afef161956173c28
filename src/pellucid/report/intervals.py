"""Values with their error bars on one axis, as SVG; how data become pixels is that of `charts`."""

from __future__ import annotations

from html import escape

from .blocks import Interval, Intervals
from .charts import Axis, colour, fit_axis, tick_labels

WIDTH = 640
ROW = 26
TOP = 8
RIGHT = 626
_CHARACTER = 6.9  # pixels of a character of a name, on average
_WIDEST_NAME = 280.0


def intervals_svg(block: Intervals) -> str:
    """The block as an SVG element with role "img" and its content told in words."""
    left = 16 + min(_WIDEST_NAME, max((len(row.name) for row in block.rows), default=0) * _CHARACTER)
    x = fit_axis((v for row in block.rows for v in (row.low, row.value, row.high)), left, RIGHT, log=False)
    bottom = TOP + ROW * len(block.rows)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {bottom + 46}" role="img" '
        f'aria-label="{escape(describe(block))}" preserveAspectRatio="xMidYMid meet">'
    ]
    ticks = x.ticks()
    for tick, label in zip(ticks, tick_labels(ticks, log=False), strict=True):
        at = f"{x.pixel(tick):.2f}"
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{at}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    parts.append(f'<line class="axis" x1="{left:.2f}" x2="{RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(f'<text class="label" x="{RIGHT}" y="{bottom + 38}" text-anchor="end">{escape(block.x_label)}</text>')
    for k, row in enumerate(block.rows):
        parts += _row(row, TOP + ROW * (k + 0.5), left, x)
    return "".join([*parts, "</svg>"])


def describe(block: Intervals) -> str:
    """The rows in words, for who cannot see them."""
    told = (f"{row.name}: {row.value:.4g}, from {row.low:.4g} to {row.high:.4g}." for row in block.rows)
    return " ".join([f"{block.title}: {block.x_label}.", *told])


def _row(row: Interval, y: float, left: float, x: Axis) -> list[str]:
    low, at, high = (f"{x.pixel(v):.2f}" for v in (row.low, row.value, row.high))
    css = colour(row.group)
    title = escape(f"{row.name}: {row.value:.4f}, from {row.low:.4f} to {row.high:.4f}")
    return [
        f'<text class="name" x="{left - 12:.2f}" y="{y:.2f}" dy="0.34em" text-anchor="end">{escape(row.name)}</text>',
        f'<line class="bar {css}" x1="{low}" x2="{high}" y1="{y:.2f}" y2="{y:.2f}"/>',
        f'<circle class="point {css}{" open" if row.open else ""}" cx="{at}" cy="{y:.2f}" r="4.5">'
        f"<title>{title}</title></circle>",
    ]
