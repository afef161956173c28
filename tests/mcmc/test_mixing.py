"""Effective sample sizes of processes whose autocorrelation is known."""

from __future__ import annotations

import pytest
import torch
from chain_laws import F64, numbers

from pellucid.foundations.errors import UserError
from pellucid.mcmc import effective_size, mean_and_error, split_r_hat


def autoregression(a, draws, chains, seed=0):
    """x' = a x + sqrt(1 - a^2) z from its own law: tau = (1 + a)/(1 - a)."""
    z = numbers(draws, chains, seed=seed)
    x, path = z[0], []
    for row in z:
        x = a * x + (1 - a * a) ** 0.5 * row
        path.append(x)
    return torch.stack(path)


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9, -0.4])
def test_autoregressions(a):
    """The estimate over 40 chains of 2,000 draws has an error of a few per cent; 15 % are allowed."""
    expected = 80000 * (1 - a) / (1 + a)
    assert effective_size(autoregression(a, 2000, 40)) == pytest.approx(expected, rel=0.15)


def test_the_standard_error_covers():
    """Of 200 means of a correlated chain 95 % are within 1.96 errors; 90 is four standard errors off."""
    hits = 0
    for seed in range(200):
        mean, error = mean_and_error(autoregression(0.7, 200, 4, seed=seed))
        hits += abs(mean) < 1.96 * error
    assert 0.87 <= hits / 200 <= 0.995


def test_chains_apart_are_seen():
    together = numbers(500, 4)
    apart = together + 3 * torch.arange(4, dtype=F64)
    assert split_r_hat(together) == pytest.approx(1, abs=0.02)
    assert split_r_hat(apart) > 2
    assert effective_size(apart) < 20 < effective_size(together)


def test_too_few_draws_are_told():
    with pytest.raises(UserError, match="at least 4"):
        effective_size(numbers(3, 2))
