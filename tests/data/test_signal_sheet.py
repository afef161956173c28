"""Signals at one look: curves stand in the panels of their class or channel, and end where they end."""

from __future__ import annotations

import numpy as np

from pellucid.data.signal_sheet import signal_sheet


def columns_of(picture, more, less):
    """Where pixels have more of one of red (0), green and blue (2) than of another, as shares of the width."""
    pixels = np.asarray(picture).astype(int)
    return np.flatnonzero((pixels[..., more] - pixels[..., less] > 40).any(0)) / pixels.shape[1]


BLUE, ORANGE = (2, 0), (0, 2)  # the first two curves' colours


def test_a_panel_for_each_class_and_curves_that_end():
    items = np.linspace(0, 1, 20)[None, None].repeat(6, 0)
    items[:3, 0, 5:] = np.nan
    picture = signal_sheet(items, np.array([0, 0, 0, 1, 1, 1]), ("up", "down"))
    blue, orange = columns_of(picture, *BLUE), columns_of(picture, *ORANGE)
    assert blue.max() < 0.25  # a quarter of the left panel
    assert orange.min() > 0.5
    assert orange.max() > 0.9


def test_a_panel_for_each_channel():
    items = np.stack([np.zeros((4, 8)), np.ones((4, 8))], axis=1)
    picture = signal_sheet(items, None, ())
    assert columns_of(picture, *BLUE).max() < 0.5 < columns_of(picture, *ORANGE).min()
