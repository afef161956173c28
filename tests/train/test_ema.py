"""The power-function average is the weighted sum that its formula says, of the width that its formula says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pellucid.train import ema


def profile(steps: int, gamma: float) -> np.ndarray:
    """The weight of each step's value in the average after `steps` steps, from the recursion's definition alone:
    (1 - beta_j) times the product of all later beta."""
    betas = np.array([(1 - 1 / k) ** (gamma + 1) for k in range(1, steps + 1)])
    later = np.append(np.cumprod(betas[::-1])[::-1][1:], 1.0)
    return (1 - betas) * later


@pytest.mark.parametrize("width", [0.02, 0.05, 0.1, 0.25])
def test_the_average_equals_the_weighted_sum(width: float) -> None:
    gamma, steps = ema.exponent(width), 60
    values = torch.randn(steps, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    average = [torch.full((5,), 1e6, dtype=torch.float64)]  # what it holds at first must be forgotten entirely
    for k in range(1, steps + 1):
        ema.update(average, [values[k - 1]], k, gamma)
    weights = torch.from_numpy(profile(steps, gamma))
    assert weights.sum().item() == pytest.approx(1, abs=1e-12)
    # round-off of 60 updates in float64
    assert torch.allclose(average[0], (weights[:, None] * values).sum(0), rtol=0, atol=1e-13)


@pytest.mark.parametrize("width", [0.02, 0.05, 0.1, 0.25])
def test_its_relative_width_is_the_one_asked_for(width: float) -> None:
    steps = 20_000
    weights = profile(steps, ema.exponent(width))
    j = np.arange(1, steps + 1) / steps
    mean = (weights * j).sum()
    spread = math.sqrt((weights * (j - mean) ** 2).sum())
    # the continuous profile's width differs from 20,000 steps' by a few of them
    assert spread == pytest.approx(width, abs=3e-4)


@pytest.mark.parametrize("width", [0.01, 0.05, 0.28])
def test_the_exponent_solves_its_equation(width: float) -> None:
    gamma = ema.exponent(width)
    assert math.sqrt(gamma + 1) / ((gamma + 2) * math.sqrt(gamma + 3)) == pytest.approx(width, rel=1e-12)


def test_the_profile_is_the_power_function() -> None:
    gamma, steps = 6.94, 5000
    weights = profile(steps, gamma)
    ideal = (np.arange(1, steps + 1) / steps) ** gamma
    ideal /= ideal.sum()
    late = slice(steps // 5, None)
    assert np.allclose(weights[late], ideal[late], rtol=0.01)  # O(gamma^2 / j) from sums in place of integrals


def test_no_average_is_the_weights_themselves() -> None:
    average, weights = [torch.randn(3)], [torch.randn(3)]
    for step in (1, 2, 100):
        ema.update(average, weights, step, math.inf)
        assert torch.equal(average[0], weights[0])
