"""Kernel distances against double loops, their variances against all quadruples, and the laws of many repeats."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import laplacian_kernel, polynomial_kernel, rbf_kernel

from pellucid.foundations.errors import UserError
from pellucid.metrics import distances, kernel
from pellucid.metrics.kernel import KERNELS, energy, kid, median_distance, mmd_squared

GENERATOR = torch.Generator().manual_seed(1)
X = torch.randn(9, 3, generator=GENERATOR, dtype=torch.float64)
Y = torch.randn(7, 3, generator=GENERATOR, dtype=torch.float64) + 0.5


def naive(x: np.ndarray, y: np.ndarray, name: str, h: float) -> np.ndarray:
    out = np.empty((len(x), len(y)))
    for i, j in itertools.product(range(len(x)), range(len(y))):
        d = math.sqrt(((x[i] - y[j]) ** 2).sum())
        out[i, j] = {
            "polynomial": (x[i] @ y[j] / x.shape[1] + 1) ** 3,
            "gaussian": math.exp(-(d**2) / (2 * h * h)),
            "laplace": math.exp(-d / h),
            "rational": sum((1 + d**2 / (2 * a * h * h)) ** -a for a in (0.5, 1, 2)) / 3,
            "energy": -d,
        }[name]
    return out


def loops(name: str, h: float) -> float:
    x, y = X.numpy(), Y.numpy()
    kx, ky, kxy = naive(x, x, name, h), naive(y, y, name, h), naive(x, y, name, h)
    a = sum(kx[i, j] for i in range(9) for j in range(9) if i != j) / 72
    b = sum(ky[i, j] for i in range(7) for j in range(7) if i != j) / 42
    return a + b - 2 * kxy.mean()


@pytest.mark.parametrize("name", list(KERNELS))
def test_equals_double_loops(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = loops(name, 1.3)
    assert mmd_squared(X, Y, kernel=name, bandwidth=1.3).value == pytest.approx(exact, rel=1e-10, abs=1e-13)
    monkeypatch.setattr(distances, "BLOCK", 20)  # blocks of two rows: the sums must not depend on them
    assert mmd_squared(X, Y, kernel=name, bandwidth=1.3).value == pytest.approx(exact, rel=1e-10, abs=1e-13)


def test_kernels_are_those_of_scikit_learn() -> None:
    h, x, y = 0.7, X.numpy(), Y.numpy()
    np.testing.assert_allclose(KERNELS["gaussian"](X, Y, h), rbf_kernel(x, y, gamma=0.5 / h**2), rtol=1e-10)
    np.testing.assert_allclose(KERNELS["polynomial"](X, Y, h), polynomial_kernel(x, y, degree=3), rtol=1e-10)
    one = X[:, :1].numpy(), Y[:, :1].numpy()  # theirs is of the sum of absolute differences: equal on a line
    np.testing.assert_allclose(
        KERNELS["laplace"](X[:, :1], Y[:, :1], h), laplacian_kernel(*one, gamma=1 / h), rtol=1e-9
    )


def test_null_variance_equals_means_over_all_different_items() -> None:
    """E of the centred kernel squared by its definition: sums over all tuples of different items, by loops."""
    x, y = X[:6], Y[:5]
    h, n, m = 1.1, 6, 5
    kx, ky, kxy = (naive(a.numpy(), b.numpy(), "gaussian", h) for a, b in ((x, x), (y, y), (x, y)))

    def within(k: np.ndarray) -> float:
        n = len(k)
        two = np.mean([k[i, j] ** 2 for i, j in itertools.permutations(range(n), 2)])
        three = np.mean([k[i, j] * k[i, q] for i, j, q in itertools.permutations(range(n), 3)])
        four = np.mean([k[i, j] * k[q, o] for i, j, q, o in itertools.permutations(range(n), 4)])
        return two - 2 * three + four

    rows, columns = range(n), range(m)
    cross = np.mean(kxy**2)
    cross -= np.mean([kxy[i, j] * kxy[i, q] for i in rows for j, q in itertools.permutations(columns, 2)])
    cross -= np.mean([kxy[i, j] * kxy[q, j] for j in columns for i, q in itertools.permutations(rows, 2)])
    pairs = itertools.product(itertools.permutations(rows, 2), itertools.permutations(columns, 2))
    cross += np.mean([kxy[i, j] * kxy[q, o] for (i, q), (j, o) in pairs])
    exact = 2 * within(kx) / (n * (n - 1)) + 2 * within(ky) / (m * (m - 1)) + 4 * cross / (n * m)
    assert mmd_squared(x, y, bandwidth=h).null_variance == pytest.approx(exact, rel=1e-9)


def test_first_order_variance_is_the_jackknife_by_leaving_out() -> None:
    def left_out(which: int) -> float:
        sample = (X, Y)[which]
        values = []
        for i in range(len(sample)):
            rest = torch.cat([sample[:i], sample[i + 1 :]])
            pair = (rest, Y) if which == 0 else (X, rest)
            values.append(mmd_squared(*pair, kernel="energy", bandwidth=1.0).value)
        return float(np.var(values) * (len(sample) - 1))

    exact = left_out(0) + left_out(1)
    assert mmd_squared(X, Y, kernel="energy", bandwidth=1.0).variance == pytest.approx(exact, rel=1e-9)


def test_plain_is_the_distance_with_all_pairs() -> None:
    k = [naive(a.numpy(), b.numpy(), "laplace", 0.9).mean() for a, b in ((X, X), (Y, Y), (X, Y))]
    found = mmd_squared(X, Y, kernel="laplace", bandwidth=0.9).plain
    assert found == pytest.approx(k[0] + k[1] - 2 * k[2], rel=1e-9)


def test_energy_of_two_points_on_a_line() -> None:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|: all X at 0 and all Y at 3 gives 6."""
    assert energy(torch.zeros(8, 1), torch.full((8, 1), 3.0)).value == pytest.approx(6.0, abs=1e-12)


def test_the_median_distance_is_that_of_the_pooled_sample() -> None:
    pooled = torch.cat([X, Y])
    assert median_distance(X, Y) == pytest.approx(float(torch.pdist(pooled).median()), rel=1e-12)
    assert median_distance(torch.zeros(5, 2), torch.zeros(5, 2)) == 1.0


def test_kid_of_a_shifted_law_is_known() -> None:
    """In one dimension, with moments m_k of N(s, 1): E (xy + 1)^3 = m_3^2 + 3 m_2^2 + 3 m_1^2 + 1 for equal laws."""
    s = 0.5
    p, q = (0.0, 1.0, 0.0), (s, 1 + s * s, s**3 + 3 * s)
    exact = (p[2] - q[2]) ** 2 + 3 * (p[1] - q[1]) ** 2 + 3 * (p[0] - q[0]) ** 2
    generator = torch.Generator().manual_seed(5)
    scored = kid(torch.randn(2000, 1, generator=generator) + s, torch.randn(2000, 1, generator=generator))
    assert scored.low is not None
    assert scored.high is not None
    assert scored.low < exact < scored.high < 2 * exact


def test_unknown_kernels_and_too_few_items_are_named() -> None:
    with pytest.raises(UserError, match="did you mean 'gaussian'"):
        mmd_squared(X, Y, kernel="gausian")
    with pytest.raises(UserError, match="real sample holds 3 items"):
        mmd_squared(X, Y[:3])
    assert kernel.Discrepancy(0.0, 0.0, 0.0, 0.0).interval == (0.0, 0.0)
