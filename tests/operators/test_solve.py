"""Conjugate gradients against numpy's dense solutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense import distance, draw, times
from torch import Tensor

from pellucid.operators.solve import conjugate_gradients, least_squares

D = 12


def product(matrix: Tensor):
    return lambda x: x @ matrix.T.to(x)


def positive(condition: float) -> Tensor:
    """A symmetric (D, D) matrix with eigenvalues from 1 / condition to 1."""
    basis = torch.linalg.qr(draw((D, D), 0, count=1)[0]).Q
    return basis * torch.logspace(0, -np.log10(condition), D, dtype=torch.float64) @ basis.T


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_a_positive_system(dtype, limit):
    # the error is at most the condition number, 30, times the tolerance, 1e-6 or 1e-12
    matrix, b = positive(30.0), draw((D,), 1, dtype=dtype)
    found = conjugate_gradients(product(matrix), b)
    assert found.dtype == dtype
    assert distance(found, times(np.linalg.inv(matrix.numpy()), b, (D,))) < limit


def test_a_singular_system_gives_the_solution_of_least_norm():
    factor = draw((D, 4), 2, count=1)[0]
    matrix = factor @ factor.T
    b = draw((4,), 3) @ factor.T
    expected = times(np.linalg.pinv(matrix.numpy(), rcond=1e-10), b, (D,))
    assert distance(conjugate_gradients(product(matrix), b), expected) < 1e-9


@pytest.mark.parametrize("shape", [(20, D), (5, D), (D, D)])
@pytest.mark.parametrize("rank", [3, D])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 2e-5), (torch.float64, 1e-9)])
def test_least_squares_of_least_norm_also_where_the_rank_is_deficient(shape, rank, dtype, limit):
    rows, _ = shape
    small = min(rows, D)
    left, right = (
        torch.linalg.qr(draw((rows, small), 4, count=1)[0]).Q,
        torch.linalg.qr(draw((D, small), 5, count=1)[0]).Q,
    )
    rank = min(rank, small)
    matrix = (left[:, :rank] * torch.linspace(1, 5, rank, dtype=torch.float64)) @ right[:, :rank].T
    y = draw((rows,), 6, dtype=dtype)  # not in the range of the matrix
    found = least_squares(product(matrix), product(matrix.T), y)
    expected = np.linalg.lstsq(matrix.numpy(), y.double().numpy().T, rcond=1e-10)[0].T
    # five squared, the condition number of the normal equations, times the tolerance
    assert distance(found, torch.from_numpy(expected)) < limit


def test_each_item_of_a_batch_stops_by_itself():
    # right sides of very different size and difficulty: zero, an eigenvector (one step), a mixture of all (D steps)
    matrix = positive(1e3)
    eigenvector = torch.linalg.eigh(matrix).eigenvectors[:, 3]
    b = torch.stack([torch.zeros(D, dtype=torch.float64), 1e6 * eigenvector, 1e-6 * draw((D,), 7, count=1)[0]])
    exact = times(np.linalg.inv(matrix.numpy()), b, (D,))
    for solve in (conjugate_gradients, lambda apply, right: least_squares(apply, apply, right)):
        found = solve(product(matrix), b)
        assert not bool(found[0].any())
        for item in (1, 2):
            # 1e-12 times the square of the condition number for the normal equations
            assert distance(found[item], exact[item]) < 2e-6
            alone = solve(product(matrix), b[item, None])
            # the same steps but for the order of a product's sums
            assert distance(found[item], alone[0]) < 2e-6


def test_it_stops_when_it_is_near_enough():
    calls = []
    matrix = positive(1e4)

    def apply(x: Tensor) -> Tensor:
        calls.append(x)
        return product(matrix)(x)

    b = draw((D,), 8)
    coarse = conjugate_gradients(apply, b, tolerance=0.1)
    few = len(calls)
    assert distance(product(matrix)(coarse), b) <= 0.1 * 3**0.5
    conjugate_gradients(apply, b, tolerance=1e-8)
    assert 0 < few < len(calls) - few
    calls.clear()
    conjugate_gradients(apply, b, max_iterations=2)
    assert len(calls) == 2
