"""Sliced Wasserstein distances against numbers known by hand, scipy's one-dimensional distance and exact laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

from pellucid.foundations.errors import UserError
from pellucid.metrics.transport import sliced_wasserstein, wasserstein_powers


@pytest.mark.parametrize(("n", "m"), [(7, 7), (7, 5), (6, 4), (1, 9)])
def test_equals_scipy_in_one_dimension(n: int, m: int) -> None:
    rng = np.random.default_rng(n * 10 + m)
    x, y = rng.normal(size=n), rng.normal(size=m) + 0.5
    mine = sliced_wasserstein(torch.tensor(x)[:, None], torch.tensor(y)[:, None])
    # Both are finite sums in float64; directions in one dimension are +1 and -1.
    assert mine == pytest.approx(wasserstein_distance(x, y), abs=1e-13)


def test_squared_distance_of_unequal_sizes_equals_an_assignment_of_copies() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=6), rng.normal(size=4)
    # Six and four points carry the same law as twelve, each repeated: then the plan is a matching.
    many, other = np.repeat(x, 2), np.repeat(y, 3)
    cost = (many[:, None] - other[None]) ** 2
    exact = cost[linear_sum_assignment(cost)].mean()
    mine = wasserstein_powers(torch.tensor(x)[:, None], torch.tensor(y)[:, None], 2)
    assert mine.item() == pytest.approx(exact, abs=1e-13)


def test_a_shift_is_its_mean_projection() -> None:
    x = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([3.0, 4.0], dtype=torch.float64)
    # |<d, shift>| = 5 |cos|, of mean 2/pi and root mean square 1/sqrt(2); standard errors over 4,096 directions are
    # 5 * 0.308 / 64 = 0.024 and, for the square, 25 * 0.354 / 64 = 0.14.
    one = sliced_wasserstein(x, x + shift, num_projections=4096)
    assert one == pytest.approx(5 * 2 / math.pi, abs=4 * 0.024)
    two = sliced_wasserstein(x, x + shift, num_projections=4096, p=2)
    assert two**2 == pytest.approx(12.5, abs=4 * 0.14)


def test_invariances() -> None:
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(40, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    base = sliced_wasserstein(x, y)
    assert sliced_wasserstein(y, x) == pytest.approx(base, abs=1e-12)
    assert sliced_wasserstein(x.flip(0), y) == pytest.approx(base, abs=1e-12)
    assert sliced_wasserstein(3 * x, 3 * y) == pytest.approx(3 * base, abs=1e-12)
    # The sample repeated is the same law, and goes the way of unequal sizes.
    assert sliced_wasserstein(x.repeat(2, 1), y) == pytest.approx(base, abs=1e-12)
    assert sliced_wasserstein(x, x) == 0


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(3, 3), {}, "one shape"),
        (torch.zeros(0, 2), torch.zeros(3, 2), {}, "two samples"),
        (torch.full((3, 2), math.nan), torch.zeros(3, 2), {}, "not finite"),
        (torch.zeros(3, 2), torch.zeros(3, 2), {"p": 0.5}, "at least 1"),
        (torch.zeros(3, 2), torch.zeros(3, 2), {"num_projections": 0}, "at least 1"),
    ],
)
def test_refuses(x: torch.Tensor, y: torch.Tensor, options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sliced_wasserstein(x, y, **options)  # type: ignore[arg-type]
