"""Authenticity by loops, and the feature likelihood by its definition, its optimum and its uses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.neighbors import NearestNeighbors

from pellucid.metrics.novelty import authenticity, feature_likelihood, held_out_densities, is_authentic

GENERATOR = torch.Generator().manual_seed(8)


def draw(count: int, size: int = 3) -> torch.Tensor:
    return torch.randn(count, size, generator=GENERATOR, dtype=torch.float64)


def test_authentic_by_the_definition() -> None:
    x, y = draw(50), draw(40)
    own = NearestNeighbors(n_neighbors=2).fit(y.numpy()).kneighbors(y.numpy())[0][:, 1]
    far, at = NearestNeighbors(n_neighbors=1).fit(y.numpy()).kneighbors(x.numpy())
    np.testing.assert_array_equal(is_authentic(x, y).numpy(), far[:, 0] > own[at[:, 0]])


def test_copies_are_not_authentic_even_of_items_that_come_twice() -> None:
    y = draw(60)
    assert authenticity(y + 1e-9 * draw(60), y).value == 0.0
    twice = torch.cat([y, y])
    assert authenticity(y.clone(), twice).value == 0.0
    mixed = torch.cat([y[:30], draw(30) + 50])
    assert authenticity(mixed, y).value == 0.5
    scored = authenticity(draw(400), draw(400))
    assert scored.floor is not None
    assert abs(scored.value - scored.floor) < 0.15


def test_the_density_is_the_best_that_scipy_finds() -> None:
    """The variances by expectation-maximisation against a minimiser of the same likelihood."""
    x, fit = draw(4, 2) * 2, draw(60, 2) * 2

    def mean_term(log_scale: np.ndarray) -> float:
        scale = np.exp(log_scale)
        d = ((fit.numpy()[:, None] - x.numpy()[None]) ** 2).sum(-1)
        return -float(np.log((np.exp(-0.5 * d / scale) / (2 * np.pi * scale)).mean(1)).mean()) / 2

    starts = np.random.default_rng(0).normal(1, 1.5, (12, 4))  # there is more than one valley
    best = min(minimize(mean_term, start, tol=1e-10).fun for start in starts)
    found = float(held_out_densities(x, fit, fit).mean())
    # Never below the least, and twenty steps of a method of linear rate come within a hundredth of a nat.
    assert best - 1e-9 < found < best + 0.01


def test_one_gaussian_is_exact() -> None:
    x, fit, held = draw(1, 5), draw(30, 5), draw(7, 5)
    variance = float((fit - x).square().mean())
    exact = ((held - x).square().sum(1) / variance + 5 * math.log(2 * math.pi * variance)) / 10
    torch.testing.assert_close(held_out_densities(x, fit, held), exact, rtol=1e-10, atol=1e-10)


def test_copies_and_missing_modes_cost_likelihood() -> None:
    centres = torch.tensor([[4.0, 0, 0], [-4.0, 0, 0]], dtype=torch.float64)
    two = [draw(150) + centres[torch.arange(150) % 2] for _ in range(4)]
    train, held, fresh, other = two
    good = held_out_densities(fresh, train, held).mean()
    assert held_out_densities(train + 1e-6 * other, train, held).mean() > good + 0.5
    assert held_out_densities(fresh[::2], train, held).mean() > good + 0.1
    assert feature_likelihood(fresh + 1.5, train).value > feature_likelihood(fresh, train).value
    scored = feature_likelihood(fresh, train)
    assert scored.floor == pytest.approx(scored.value, abs=0.4)
