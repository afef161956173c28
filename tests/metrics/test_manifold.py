"""Precision, recall, density and coverage against loops and scikit-learn's neighbours, and which is which."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from pellucid.foundations.errors import UserError
from pellucid.metrics import distances, manifold
from pellucid.metrics.distances import nearest, squared
from pellucid.metrics.manifold import Tally, coverage, density, precision, recall
from pellucid.metrics.manifold import manifold as all_four

GENERATOR = torch.Generator().manual_seed(2)
X = torch.randn(60, 4, generator=GENERATOR, dtype=torch.float64) + 0.4
Y = torch.randn(45, 4, generator=GENERATOR, dtype=torch.float64)


def theirs(x: np.ndarray, y: np.ndarray, k: int) -> tuple[float, float, float, float]:
    """By the definitions, with the neighbours of scikit-learn."""
    radius_y = NearestNeighbors(n_neighbors=k + 1).fit(y).kneighbors(y)[0][:, k]
    radius_x = NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, k]
    inside = np.array([[np.linalg.norm(a - b) <= r for b, r in zip(y, radius_y, strict=True)] for a in x])
    back = np.array([[np.linalg.norm(a - b) <= r for a, r in zip(x, radius_x, strict=True)] for b in y])
    return inside.any(1).mean(), back.any(1).mean(), inside.sum() / (k * len(x)), inside.any(0).mean()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_equals_the_definitions(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = theirs(X.numpy(), Y.numpy(), k)
    for block in (distances.BLOCK, 100):  # the second gives blocks of two rows
        monkeypatch.setattr(distances, "BLOCK", block)
        found = all_four(X, Y, k=k)
        np.testing.assert_allclose((found.precision, found.recall, found.density, found.coverage), exact, atol=1e-12)
        one_by_one = [metric(X, Y, k=k).value for metric in (precision, recall, density, coverage)]
        np.testing.assert_allclose(one_by_one, exact, atol=1e-12)


def test_groups_left_out_are_left_out() -> None:
    """Each value without a group equals that of the samples without it."""
    k, groups = 3, 5
    there = Tally.of(X, Y, k, groups, 7)
    for g in range(groups):
        fewer = all_four(X, Y[there.group_y != g], k=k)
        assert float((there.inside[1 + g] > 0).double().mean()) == pytest.approx(fewer.precision, abs=1e-12)
        assert float(there.inside[1 + g].double().mean()) / k == pytest.approx(fewer.density, abs=1e-12)
    x = [all_four(X[there.group_x != g], Y, k=k) for g in range(groups)]
    y = [all_four(X, Y[there.group_y != g], k=k) for g in range(groups)]
    for found, pick in (
        (there.precision(), lambda m: m.precision),
        (there.density(k), lambda m: m.density),
        (there.coverage(), lambda m: m.coverage),
    ):
        variance = sum(np.var([pick(m) for m in side]) * (groups - 1) for side in (x, y))
        assert found[1] == pytest.approx(np.sqrt(variance), abs=1e-12)


def test_precision_and_recall_are_not_swapped() -> None:
    generator = torch.Generator().manual_seed(0)
    wide, narrow = 2 * torch.rand(400, 1, generator=generator), torch.rand(400, 1, generator=generator)
    # A generator that makes half of what there is: all of it right, half of the data missing.
    assert precision(narrow, wide).value > 0.97
    assert abs(recall(narrow, wide).value - 0.5) < 0.1  # 4 binomial errors of 400 items
    assert abs(precision(wide, narrow).value - 0.5) < 0.1
    assert recall(wide, narrow).value > 0.97
    assert coverage(narrow, wide).value < 0.62
    assert coverage(wide, narrow).value > 0.77


def test_one_outlier_fools_precision_but_not_density() -> None:
    real = torch.cat([0.1 * torch.randn(200, 2, generator=GENERATOR), torch.full((1, 2), 100.0)])
    far = torch.tensor([[60.0, 60.0]]) + torch.randn(200, 2, generator=GENERATOR)
    assert precision(far, real).value == 1.0
    assert density(far, real).value == pytest.approx(0.2, abs=1e-12)  # one ball of the five expected


def test_equal_items_are_at_distance_zero_far_from_the_origin() -> None:
    x = torch.randn(30, 50, generator=GENERATOR, dtype=torch.float64) + 1e3
    assert float(squared(x, x).diagonal().abs().max()) == 0.0
    exact = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist") ** 2
    torch.testing.assert_close(squared(x, x), exact, rtol=1e-9, atol=1e-9)


def test_nearest_is_that_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "BLOCK", 200)
    theirs, at = NearestNeighbors(n_neighbors=4).fit(Y.numpy()).kneighbors(X.numpy())
    found, index = nearest(X, Y, 4)
    np.testing.assert_allclose(found.sqrt(), theirs, rtol=1e-9)
    np.testing.assert_array_equal(index, at)
    assert not bool((nearest(Y, Y, 2, apart=True)[1] == torch.arange(45)[:, None]).any())


def test_few_items_have_no_interval_and_too_few_are_refused() -> None:
    scored = precision(X[:12], Y[:12])
    assert scored.low is None
    assert "no interval" in scored.warnings[0]
    with pytest.raises(UserError, match="at least 6 items"):
        recall(X[:4], Y)
    with pytest.raises(UserError, match="k counts neighbours"):
        manifold.coverage(X, Y, k=0)
