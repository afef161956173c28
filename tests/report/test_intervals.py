"""Error bars as SVG: what is drawn gives the numbers back, and who cannot see it is told them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from pellucid.report.blocks import Interval, Intervals
from pellucid.report.charts import fit_axis
from pellucid.report.intervals import RIGHT, describe, intervals_svg
from pellucid.report.page import block_html

ROWS = (Interval("vae ELBO", 1.40, 1.30, 1.50), Interval("digits <ODE>", 2.5, 2.44, 2.6, group=1, open=True))


def test_the_drawn_bars_give_the_numbers_back() -> None:
    root = ET.fromstring(intervals_svg(Intervals("t", "bits/dim", ROWS)))
    bars = [e for e in root.iter("line") if "bar" in e.attrib["class"]]
    dots = list(root.iter("circle"))
    start = float(next(e for e in root.iter("line") if e.attrib["class"] == "axis").attrib["x1"])
    x = fit_axis([v for row in ROWS for v in (row.low, row.value, row.high)], start, RIGHT, log=False)
    for row, bar, dot in zip(ROWS, bars, dots, strict=True):
        found = [float(bar.attrib["x1"]), float(dot.attrib["cx"]), float(bar.attrib["x2"])]
        # pixels are written to a hundredth: an axis of 1.3 over some 500 pixels
        assert [x.value(pixel) for pixel in found] == pytest.approx([row.low, row.value, row.high], abs=1e-4)
        assert bar.attrib["y1"] == bar.attrib["y2"] == dot.attrib["cy"]
    assert ["open" in dot.attrib["class"] for dot in dots] == [False, True]
    assert float(dots[0].attrib["cy"]) < float(dots[1].attrib["cy"])


def test_names_are_escaped_and_told_in_words() -> None:
    block = Intervals("Bounds", "bits/dim", ROWS)
    html = block_html(block)
    assert "digits &lt;ODE&gt;" in html
    assert "<ODE>" not in html
    assert "vae ELBO: 1.4, from 1.3 to 1.5." in describe(block)
