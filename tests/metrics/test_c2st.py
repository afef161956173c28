"""Classifier two-sample tests: exact rates, scikit-learn's rules, and that labels do not leak."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from pellucid.foundations.measured import wilson
from pellucid.metrics.c2st import c2st_knn, c2st_logistic, c2st_mlp, held_out_hits, knn, logistic

GENERATOR = torch.Generator().manual_seed(4)


def draw(count: int, size: int = 2) -> torch.Tensor:
    return torch.randn(count, size, generator=GENERATOR, dtype=torch.float64)


def test_neighbours_vote_as_those_of_scikit_learn() -> None:
    x, new = draw(120), draw(50)
    labels = draw(120)[:, 0] > 0
    theirs = KNeighborsClassifier(5).fit(x.numpy(), labels.numpy()).predict(new.numpy())
    np.testing.assert_array_equal(knn(x, labels, 0)(new).numpy(), theirs)


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    x = draw(300)
    labels = x[:, 0] + x[:, 1] ** 2 + draw(300)[:, 0] > 0.5
    z = (x - x.mean(0)) / x.std(0)
    inputs = torch.cat([z, z * z - 1], dim=1).numpy()
    # Our penalty is 1e-3 |w|^2 beside the mean loss; theirs is |w|^2 / 2 beside C times the summed one.
    model = LogisticRegression(C=1 / (2e-3 * 300), tol=1e-10).fit(inputs, labels.numpy())
    np.testing.assert_array_equal(logistic(x, labels, 0)(x).numpy(), model.predict(inputs))


@pytest.mark.parametrize("metric", [c2st_knn, c2st_logistic, c2st_mlp])
def test_accuracy_is_that_of_the_best_rule_at_most_and_near_it(metric) -> None:
    scored = metric(draw(800) + torch.tensor([2.0, 0.0]), draw(800))
    best = 0.5 + 0.5 * math.erf(1 / math.sqrt(2))
    # Four binomial errors of 800 held-out items above; the neighbours' vote loses 4 points.
    assert best - 0.09 < scored.value < best + 0.052
    assert (scored.low, scored.high) == wilson(round(scored.value * 800), 800)
    assert scored.ideal == 0.5


def test_equal_laws_are_told_apart_at_the_rate_of_chance() -> None:
    rates = [held_out_hits(knn, draw(60), draw(60), seed).double().mean().item() for seed in range(100)]
    assert abs(np.mean(rates) - 0.5) < 4 * np.std(rates) / 10
    # Neither does an unequal number of items make one guess pay.
    assert abs(c2st_knn(draw(1500), draw(300)).value - 0.5) < 4 * 0.5 / math.sqrt(300)


def test_copies_stay_on_their_side() -> None:
    """Generated items are one value, real ones another: whatever order ties come in, all is right."""
    scored = c2st_knn(torch.zeros(40, 2), torch.ones(40, 2))
    assert scored.value == 1.0
    # And where all are one value, about half is right.
    assert 0.2 < c2st_knn(torch.zeros(80, 2), torch.zeros(80, 2)).value < 0.8
