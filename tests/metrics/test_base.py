"""Intervals of squared distances near zero."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.metrics.base import score_interval


@pytest.mark.parametrize("slope", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("value", [-0.5, -0.25, -0.05, 0.0, 0.1, 0.25, 2.0])
def test_it_is_every_value_that_the_estimate_is_compatible_with(value: float, slope: float) -> None:
    """By search over a fine grid: (value - theta)^2 <= z^2 (slope max(theta, 0) + V)."""
    null, z = 0.02, 1.959964
    theta = np.linspace(-2, 6, 400_001)
    inside = theta[(value - theta) ** 2 <= z**2 * (slope * np.maximum(theta, 0) + null)]
    low, high = score_interval(value, slope, null)
    assert low == pytest.approx(inside.min(), abs=3e-5)  # the grid's step is 2e-5
    assert high == pytest.approx(inside.max(), abs=3e-5)
    assert low <= value <= high
