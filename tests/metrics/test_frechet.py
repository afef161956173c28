"""The Frechet distance against scipy's matrix root, closed forms, and finite differences of itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from pellucid.foundations.errors import UserError
from pellucid.metrics.frechet import frechet, frechet_distance, frechet_error, frechet_infinity, gaussian_frechet

GENERATOR = torch.Generator().manual_seed(0)


def draw(count: int, size: int) -> torch.Tensor:
    return torch.randn(count, size, generator=GENERATOR, dtype=torch.float64)


def theirs(x: np.ndarray, y: np.ndarray) -> float:
    a, b = np.cov(x.T), np.cov(y.T)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * np.real(sqrtm(a @ b))))


def test_equals_the_matrix_root_of_scipy() -> None:
    for size in (2, 7, 20):
        x, y = draw(90, size) @ draw(size, size) + 1, draw(70, size)
        assert frechet_distance(x, y) == pytest.approx(theirs(x.numpy(), y.numpy()), rel=1e-8)  # sqrtm's round-off


def test_one_dimension_is_the_difference_of_means_and_of_deviations() -> None:
    x, y = draw(50, 1) * 3 + 1, draw(40, 1)
    exact = float((x.mean() - y.mean()) ** 2 + (x.std() - y.std()) ** 2)
    assert frechet_distance(x, y) == pytest.approx(exact, rel=1e-12)


def test_a_rotation_of_both_changes_nothing_and_of_one_does() -> None:
    x, y = draw(200, 4) * torch.tensor([1.0, 2.0, 3.0, 4.0]), draw(200, 4)
    turn = torch.linalg.qr(draw(4, 4))[0]
    assert frechet_distance(x @ turn, y @ turn) == pytest.approx(frechet_distance(x, y), rel=1e-10)
    assert frechet_distance(x @ turn, x) > 0.1


def test_moments_come_in_batches() -> None:
    covs = torch.stack([torch.cov(draw(30, 3).T) for _ in range(4)])
    means = draw(4, 3)
    found = gaussian_frechet(means, covs, means.flip(0), covs.flip(0))
    one = [gaussian_frechet(means[i], covs[i], means[3 - i], covs[3 - i]) for i in range(4)]
    torch.testing.assert_close(found, torch.stack(one), rtol=1e-12, atol=1e-12)


def test_the_error_is_that_of_weighted_moments_by_finite_differences() -> None:
    """The influence of an item is the derivative of the distance as its weight grows."""
    x, y = draw(40, 3) * 1.5 + 0.4, draw(30, 3)

    def weighted(points: torch.Tensor, w: torch.Tensor, unbiased: float) -> tuple[torch.Tensor, torch.Tensor]:
        w = w / w.sum()
        mean = w @ points
        z = points - mean
        return mean, (z.T * w) @ z * unbiased

    def influence(points: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        n = len(points)
        mean, cov = others.mean(0), torch.cov(others.T)
        values = []
        for i in range(n):
            pair = []
            for step in (1e-5, -1e-5):
                w = torch.full((n,), 1 / n, dtype=torch.float64)
                w[i] += step
                pair.append(float(gaussian_frechet(*weighted(points, w, n / (n - 1)), mean, cov)))
            values.append((pair[0] - pair[1]) / 2e-5)
        return torch.tensor(values, dtype=torch.float64)

    exact = math.sqrt(influence(x, y).var() / len(x) + influence(y, x).var() / len(y))
    # The weights scale the second moments by n/(n - 1), the influence's mean-free part does not: 1/40 at most.
    assert frechet_error(x, y) == pytest.approx(exact, rel=0.03)


def test_extrapolation_takes_off_the_bias() -> None:
    plain, corrected = [], []
    for seed in range(60):
        x, y = draw(160, 5), draw(160, 5)
        plain.append(frechet_distance(x, y))
        corrected.append(frechet_infinity(x, y, seed=seed))
    assert np.mean(plain) > 0.05  # about D (D + 5)/4 (1/N + 1/M)/... : well above zero
    assert abs(np.mean(corrected)) < 4 * np.std(corrected) / math.sqrt(60) + 0.01


def test_one_part_is_the_plain_distance_and_few_items_say_so() -> None:
    x, y = draw(60, 6) + 1, draw(60, 6)
    assert frechet_infinity(x, y, parts=1) == pytest.approx(frechet_distance(x, y), rel=1e-12)
    scored = frechet(x, y)
    assert scored.value == pytest.approx(frechet_distance(x, y), rel=1e-12)
    assert any("not corrected" in warning for warning in scored.warnings)


def test_no_more_items_than_features_is_refused() -> None:
    with pytest.raises(UserError, match=r"12 features needs more than 12 items.*12 generated and 40 real"):
        frechet(draw(12, 12), draw(40, 12))
