r"""Charts as SVG: data to pixels by one affine map per axis, and nothing hidden in it.

With u(v) = v on a linear axis and u(v) = log10 v on a logarithmic one,

    pixel(v) = start + (end - start) (u(v) - u(low)) / (u(high) - u(low)),                     (1)

which `Axis.value` inverts. Colours are CSS classes, so that the page sets them for light and for dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from pellucid.foundations.measured import Measured

from .blocks import Chart, Series

WIDTH, HEIGHT = 380, 244
LEFT, RIGHT, TOP, BOTTOM = 46, 374, 28, 200
NUM_COLOURS = 6
MAX_POINTS = 600  # more than one per pixel cannot be seen, and makes the page heavy
MAX_HINTS = 48
Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """Equation (1): data in [low, high] to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def pixel(self, value: float) -> float:
        low, high = self._u(self.low), self._u(self.high)
        return self.start + (self.end - self.start) * (self._u(value) - low) / (high - low)

    def value(self, pixel: float) -> float:
        low, high = self._u(self.low), self._u(self.high)
        u = low + (high - low) * (pixel - self.start) / (self.end - self.start)
        return 10.0**u if self.log else u

    def ticks(self) -> list[float]:
        """Round values within the axis: about five, at decades (with 2 and 5 where they are few) if it is log."""
        if self.log:
            found = _log_ticks(self.low, self.high)
            if len(found) >= 3:
                return found
        step = _nice_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        found = [round(k * step, 12 - math.floor(math.log10(step))) for k in range(first, last + 1)]
        return [tick for tick in found if not (self.log and tick <= 0)]

    def _u(self, value: float) -> float:
        return math.log10(value) if self.log else value


def fit_axis(values: Iterable[float], start: float, end: float, *, log: bool, tight: bool = False) -> Axis:
    """The axis that holds all values with a little air (none where `tight`), and zero where zero is near."""
    usable = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    if not usable:
        usable = [1.0, 10.0] if log else [0.0, 1.0]
    low, high = min(usable), max(usable)
    if log:
        if high / low < 1 + 1e-9:
            low, high = low / 2, high * 2
        air = 1.0 if tight else (high / low) ** 0.05
        return Axis(low / air, high * air, start, end, log=True)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        half = abs(low) / 2 or 0.5
        low, high = low - half, high + half
    if tight:
        return Axis(low, high, start, end)
    air = 0.05 * (high - low)
    floor = 0.0 if 0 <= low < 0.35 * high else low - air
    return Axis(floor, high + air, start, end)


def tick_labels(ticks: Sequence[float], *, log: bool) -> list[str]:
    """The texts of an axis: 20k, 1.5M, 0.05, 2e-4; one unit and as many digits as the step needs, if it is linear.

    >>> tick_labels([0.0, 5000.0, 10000.0], log=False), tick_labels([0.05, 100.0, 20000.0], log=True)
    (['0', '5k', '10k'], ['0.05', '100', '20k'])
    """
    if log:
        return [_label(tick, tick, tick) for tick in ticks]
    step = min((b - a for a, b in pairwise(ticks)), default=ticks[0] if ticks else 1.0)
    top = max(map(abs, ticks), default=1.0)
    return [_label(tick, step, top) for tick in ticks]


def chart_svg(chart: Chart) -> str:
    """The chart as an SVG element with role "img" and its content told in words."""
    x = fit_axis((v for s in chart.series for v in s.x), LEFT, RIGHT, log=chart.log_x, tight=True)
    heights = (v for s in chart.series for column in (s.y, s.low, s.high) for v in column if v is not None)
    y = fit_axis(heights, BOTTOM, TOP, log=chart.log_y)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(describe(chart))}" preserveAspectRatio="xMidYMid meet">',
        *_grid(x, y, chart),
    ]
    order = sorted(range(len(chart.series)), key=lambda k: chart.series[k].style != "faint")
    for k in order:
        parts += _curve(chart.series[k], colour(k), x, y)
    for k in order:
        if chart.series[k].style != "faint":
            parts += _hints(chart, chart.series[k], colour(k), x, y)
    return "".join([*parts, "</svg>"])


def colour(index: int) -> str:
    """The CSS class of the index-th series."""
    return f"c{index % NUM_COLOURS + 1}"


def describe(chart: Chart) -> str:
    """The chart in words, for who cannot see it."""
    told = [f"{chart.title}: {chart.y_label or chart.title.lower()} over {chart.x_label}."]
    for series in chart.series:
        points = [(a, b) for a, b in zip(series.x, series.y, strict=True) if b is not None and math.isfinite(b)]
        if points:
            (_, first), (_, last) = points[0], points[-1]
            told.append(f"{series.name}: from {first:.3g} to {last:.3g}, least {min(b for _, b in points):.3g}.")
    return " ".join(told)


def interval_svg(number: Measured) -> str:
    """A share on a line from 0 to 1 with its interval; empty for what is no share."""
    if not number.share or number.low is None or number.high is None:
        return ""
    axis = Axis(0.0, 1.0, 4.0, 196.0)
    low, at, high = (f"{axis.pixel(v):.2f}" for v in (number.low, number.value, number.high))
    return (
        '<svg class="interval" viewBox="0 0 200 14" aria-hidden="true">'
        '<line class="track" x1="4" x2="196" y1="7" y2="7"/>'
        f'<line class="bar" x1="{low}" x2="{high}" y1="7" y2="7"/><circle class="dot" cx="{at}" cy="7" r="3.5"/></svg>'
    )


# ---------------------------------------------------------------- parts


def _grid(x: Axis, y: Axis, chart: Chart) -> list[str]:
    parts = []
    ticks = y.ticks()
    for tick, label in zip(ticks, tick_labels(ticks, log=y.log), strict=True):
        at = f"{y.pixel(tick):.2f}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{at}" dy="0.34em" text-anchor="end">{label}</text>')
    ticks = x.ticks()
    for tick, label in zip(ticks, tick_labels(ticks, log=x.log), strict=True):
        at = f"{x.pixel(tick):.2f}"
        # A label at the edge would run over it if it were centred there.
        anchor = "end" if x.pixel(tick) > RIGHT - 12 else "middle"
        parts.append(f'<line class="axis" x1="{at}" x2="{at}" y1="{BOTTOM}" y2="{BOTTOM + 4}"/>')
        parts.append(f'<text class="tick" x="{at}" y="{BOTTOM + 18}" text-anchor="{anchor}">{label}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}"/>')
    below = f'x="{RIGHT}" y="{HEIGHT - 6}" text-anchor="end"'
    for where, label, log in ((below, chart.x_label, x.log), ('x="0" y="12"', chart.y_label, y.log)):
        parts.append(f'<text class="label" {where}>{escape(label)}{" (log scale)" if log else ""}</text>')
    return parts


def _curve(series: Series, css: str, x: Axis, y: Axis) -> list[str]:
    parts = []
    if series.low:
        top = _pixels(series.x, series.high, x, y)
        bottom = _pixels(series.x, series.low, x, y)
        for upper, lower in zip(top, bottom, strict=False):
            corners = _thin(upper) + _thin(lower)[::-1]
            parts.append(f'<polygon class="band {css}" points="{_text(corners)}"/>')
    for run in _pixels(series.x, series.y, x, y):
        faint = " faint" if series.style == "faint" else ""
        if len(run) > 1:
            parts.append(f'<polyline class="line {css}{faint}" points="{_text(_thin(run))}"/>')
        if len(run) == 1 or series.style == "points":
            parts += [f'<circle class="point {css}" cx="{a:.2f}" cy="{b:.2f}" r="3"/>' for a, b in _thin(run)]
    return parts


def _hints(chart: Chart, series: Series, css: str, x: Axis, y: Axis) -> list[str]:
    """Invisible circles that tell their value when pointed at."""
    usable = [(a, b) for a, b in zip(series.x, series.y, strict=True) if b is not None and _fits(a, x) and _fits(b, y)]
    count = min(MAX_HINTS, len(usable))
    chosen = [usable[round(k * (len(usable) - 1) / max(1, count - 1))] for k in range(count)]
    parts = []
    for a, b in chosen:
        title = escape(f"{series.name}: {b:.4g} at {chart.x_label} {a:,.6g}")
        where = f'cx="{x.pixel(a):.2f}" cy="{y.pixel(b):.2f}" r="6"'
        parts.append(f'<circle class="hint {css}" {where}><title>{title}</title></circle>')
    return parts


def _pixels(xs: Sequence[float], ys: Sequence[float | None], x: Axis, y: Axis) -> list[list[Point]]:
    """The curve in pixels, cut where a value is missing."""
    runs: list[list[Point]] = [[]]
    for a, b in zip(xs, ys, strict=True):
        if b is not None and _fits(a, x) and _fits(b, y):
            runs[-1].append((x.pixel(a), y.pixel(b)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _fits(value: float, axis: Axis) -> bool:
    return math.isfinite(value) and (value > 0 or not axis.log)


def _thin(points: list[Point]) -> list[Point]:
    """At most MAX_POINTS: of each stretch its first, lowest, highest and last, so that no spike is lost."""
    if len(points) <= MAX_POINTS:
        return points
    num = MAX_POINTS // 4
    kept: list[Point] = []
    for k in range(num):
        low, high = k * len(points) // num, (k + 1) * len(points) // num
        part = range(low, high)
        chosen = {low, high - 1, min(part, key=lambda i: points[i][1]), max(part, key=lambda i: points[i][1])}
        kept += [points[i] for i in sorted(chosen)]
    return kept


def _text(points: Iterable[Point]) -> str:
    return " ".join(f"{a:.2f},{b:.2f}" for a, b in points)


def _nice_step(rough: float) -> float:
    """The least of 1, 2, 2.5, 5 and 10 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, (last - first) // 6)  # not more labels than fit
    for multiples in ((1,), (1, 3), (1, 2, 5)):
        found = [float(f"{m}e{k}") for k in range(first, last + 1, every) for m in multiples]
        found = [v for v in found if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
        if len(found) >= 3:
            break
    return found


def _decimals(value: float, step: float) -> str:
    """Fixed decimals, as many as the step has."""
    decimals = 0
    while decimals < 6 and abs(round(step, decimals) - step) > 1e-6 * abs(step):
        decimals += 1
    return f"{value:.{decimals}f}"


def _label(value: float, step: float, top: float) -> str:
    """One tick's text, in the unit that fits `top`, with the digits that tell it from a neighbour at `step`."""
    if value == 0:
        return "0"
    if not 1e-3 <= top < 1e12:
        mantissa, power = f"{value:.6e}".split("e")
        return f"{float(mantissa):g}e{int(power)}"
    units = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"), (0.0, 1.0, ""))
    scale, suffix = next((scale, suffix) for least, scale, suffix in units if top >= least)
    return f"{_decimals(value / scale, step / scale)}{suffix}"
