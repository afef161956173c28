"""Charts: the map from data to pixels is exact and can be undone; ticks are round and told apart."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest

from pellucid.foundations.measured import Measured, proportion
from pellucid.report.blocks import Chart, Series
from pellucid.report.charts import (
    BOTTOM,
    LEFT,
    MAX_POINTS,
    RIGHT,
    TOP,
    Axis,
    chart_svg,
    fit_axis,
    interval_svg,
    tick_labels,
)

AXES = [
    Axis(0.0, 10.0, 46.0, 374.0),
    Axis(-3.0, 5.0, 200.0, 28.0),
    Axis(1e-4, 1e5, 46.0, 374.0, log=True),
    Axis(0.02, 0.5, 200.0, 28.0, log=True),
]


@pytest.mark.parametrize("axis", AXES)
def test_ends_middle_and_inverse(axis: Axis) -> None:
    assert axis.pixel(axis.low) == axis.start
    assert axis.pixel(axis.high) == pytest.approx(axis.end, abs=1e-10)
    middle = math.sqrt(axis.low * axis.high) if axis.log else (axis.low + axis.high) / 2
    assert axis.pixel(middle) == pytest.approx((axis.start + axis.end) / 2, abs=1e-10)
    for k in range(101):
        pixel = axis.start + (axis.end - axis.start) * k / 100
        assert axis.pixel(axis.value(pixel)) == pytest.approx(pixel, abs=1e-9)  # round-off of some 1e-13 of 400


def svg(chart: Chart) -> ET.Element:
    return ET.fromstring(chart_svg(chart))


def points(element: ET.Element) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in element.attrib["points"].split())
    return [(float(a), float(b)) for a, b in pairs]


@pytest.mark.parametrize("log", [False, True])
def test_the_drawn_curve_gives_the_data_back(log: bool) -> None:
    xs, ys = tuple(float(k) for k in range(1, 40)), tuple(2.0 * math.exp(-k / 9) for k in range(1, 40))
    root = svg(Chart("t", "x", "y", (Series("s", xs, ys),), log_y=log))
    x = fit_axis(xs, LEFT, RIGHT, log=False, tight=True)
    y = fit_axis(ys, BOTTOM, TOP, log=log)
    (line,) = (e for e in root.iter("polyline"))
    drawn = points(line)
    assert len(drawn) == len(xs)
    for (px, py), a, b in zip(drawn, xs, ys, strict=True):
        assert px == pytest.approx(x.pixel(a), abs=0.0051)  # two decimals are written
        assert py == pytest.approx(y.pixel(b), abs=0.0051)
        # Half a hundredth of a pixel, in the units of the axis.
        assert x.value(px) == pytest.approx(a, abs=0.006 * 38 / (RIGHT - LEFT))
        if log:
            assert math.log(y.value(py) / b) == pytest.approx(0, abs=0.006 * math.log(y.high / y.low) / (BOTTOM - TOP))
        else:
            assert y.value(py) == pytest.approx(b, abs=0.006 * y.high / (BOTTOM - TOP))


def test_up_is_more_and_right_is_later() -> None:
    (line,) = svg(Chart("t", "x", "y", (Series("s", (0.0, 1.0), (0.0, 1.0)),))).iter("polyline")
    (x0, y0), (x1, y1) = points(line)
    assert (x0, x1) == (LEFT, RIGHT)
    assert y0 > y1


def test_what_has_no_logarithm_and_what_is_missing_leaves_a_gap() -> None:
    ys = (1.0, 2.0, None, 4.0, 5.0, 0.0, 7.0, float("nan"), 9.0, 9.5)
    xs = tuple(float(k) for k in range(10))
    root = svg(Chart("t", "x", "y", (Series("s", xs, ys),), log_y=True))
    assert [len(points(e)) for e in root.iter("polyline")] == [2, 2, 2]
    assert len([e for e in root.iter("circle") if "point" in e.attrib["class"]]) == 1  # the lonely 7
    assert "nan" not in ET.tostring(root).decode().lower()


def test_the_band_runs_along_both_bounds() -> None:
    s = Series("s", (0.0, 1.0), (1.0, 2.0), (0.5, 1.5), (1.5, 2.5))
    root = svg(Chart("t", "x", "y", (s,)))
    y = fit_axis((0.5, 1.5, 1.5, 2.5, 1.0, 2.0), BOTTOM, TOP, log=False)
    (band,) = root.iter("polygon")
    assert [b for _, b in points(band)] == pytest.approx([y.pixel(v) for v in (1.5, 2.5, 1.5, 0.5)], abs=0.0051)


def test_thinning_keeps_every_spike_and_both_ends() -> None:
    num = 50_000
    ys = [1.0 + 0.001 * (k % 7) for k in range(num)]
    ys[12_345], ys[40_001] = 9.0, -5.0
    xs = tuple(float(k) for k in range(num))
    root = svg(Chart("t", "x", "y", (Series("s", xs, tuple(ys)),)))
    (line,) = root.iter("polyline")
    drawn = points(line)
    y = fit_axis(ys, BOTTOM, TOP, log=False)
    assert len(drawn) <= MAX_POINTS
    assert min(b for _, b in drawn) == pytest.approx(y.pixel(9.0), abs=0.0051)
    assert max(b for _, b in drawn) == pytest.approx(y.pixel(-5.0), abs=0.0051)
    assert (drawn[0][0], drawn[-1][0]) == (LEFT, RIGHT)
    assert drawn == sorted(drawn, key=lambda p: p[0])


@pytest.mark.parametrize(
    ("low", "high", "log"),
    [
        (0.0, 1.0, False),
        (-7.0, 3.0, False),
        (0.0, 307_200.0, False),
        (1e-9, 3e-9, False),
        (99.9, 100.1, False),
        (1e-6, 1e6, True),
        (0.09, 1.4, True),
        (0.11, 0.16, True),
        (3.0, 4.0, True),
        (1.0, 1e30, True),
    ],
)
def test_ticks_are_few_round_inside_and_told_apart(low: float, high: float, log: bool) -> None:
    axis = Axis(low, high, 0.0, 100.0, log)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 9
    assert all(low * (1 - 1e-9) - 1e-15 <= t <= high * (1 + 1e-9) for t in ticks)
    assert ticks == sorted(set(ticks))
    labels = tick_labels(ticks, log=log)
    assert len(set(labels)) == len(labels)
    assert all(len(label) <= 7 for label in labels)
    for tick, label in zip(ticks, labels, strict=True):  # what is written is where it stands
        number, unit = re.fullmatch(r"(-?[\d.]+(?:e-?\d+)?)([kMG]?)", label).groups()
        assert float(number) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[unit] == pytest.approx(tick, rel=1e-6, abs=1e-15)


def test_constant_and_empty_data_still_have_axes() -> None:
    for values, log in (([3.0, 3.0], False), ([0.0], False), ([], False), ([5.0], True), ([-1.0], True)):
        axis = fit_axis(values, 0.0, 100.0, log=log)
        assert axis.high > axis.low
        assert axis.ticks()
    ET.fromstring(chart_svg(Chart("empty", "x", "y", (Series("s", (), ()),))))


def test_told_in_words_and_escaped() -> None:
    s = Series('<b>"loss"&', (1.0, 2.0), (0.5, 0.25), style="points")
    root = svg(Chart("Loss", "items", "nats", (s,)))
    assert root.attrib["role"] == "img"
    label = root.attrib["aria-label"]
    assert label == 'Loss: nats over items. <b>"loss"&: from 0.5 to 0.25, least 0.25.'
    hints = [e.text for e in root.iter("title")]
    assert hints == ['<b>"loss"&: 0.5 at items 1', '<b>"loss"&: 0.25 at items 2']


def test_interval_of_a_share_only() -> None:
    root = ET.fromstring(interval_svg(proportion("p", 50, 100)))
    (dot,) = root.iter("circle")
    assert float(dot.attrib["cx"]) == 100.0
    assert interval_svg(Measured("kid", 0.1, 0.05, 0.2)) == ""


def test_series_must_fit() -> None:
    with pytest.raises(ValueError, match="one length"):
        Series("s", (1.0,), (1.0, 2.0))
    with pytest.raises(ValueError, match="one length"):
        Series("s", (1.0,), (1.0,), low=(0.0,))
    with pytest.raises(ValueError, match="style"):
        Series("s", (), (), style="dotted")
