"""Products along axes against the Kronecker product that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense import distance, draw, times

from pellucid.foundations.errors import UserError
from pellucid.operators import Separable
from pellucid.operators.separable import axis_svd


def test_it_is_the_kronecker_product_also_of_singular_matrices():
    first, second = draw((3, 6), 0, count=1)[0], draw((9, 5), 1, count=1)[0]
    second[:, 3] = second[:, 2]  # of rank 4
    whole = np.kron(np.eye(2), np.kron(first.numpy(), second.numpy()))
    op = Separable((first, second)).on((2, 6, 5))
    x, y = draw((2, 6, 5), 2), draw((2, 3, 9), 3)
    assert distance(op(x), times(whole, x, (2, 3, 9))) < 1e-14
    assert distance(op.pinv(y), times(np.linalg.pinv(whole, rcond=1e-10), y, (2, 6, 5))) < 1e-11
    assert int(op.system.kept.sum()) == 2 * 3 * 4


def test_values_that_are_small_in_both_axes_count_as_lost():
    # 1e-4 along each axis is kept, but their product, 1e-8 of the largest value, is below the cutoff of 1e-6
    matrix = torch.diag(torch.tensor([1.0, 1e-4], dtype=torch.float64))
    op = Separable((matrix, matrix)).on((2, 2))
    assert op.system.kept.tolist() == [True, True, True, False]
    expected = torch.tensor([[1.0, 1e4], [1e4, 0.0]], dtype=torch.float64)
    assert distance(op.pinv(torch.ones(1, 2, 2, dtype=torch.float64))[0], expected) < 1e-12


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (5, 5)])
def test_the_decomposition_of_one_axis(shape):
    matrix = draw(shape, 4, count=1)[0]
    u, values, v = axis_svd(matrix)
    assert (u.shape, values.shape, v.shape) == (shape, (shape[1],), (shape[1], shape[1]))
    assert distance(u * values @ v.T, matrix) < 1e-13
    assert distance(v.T @ v, torch.eye(shape[1], dtype=torch.float64)) < 1e-13
    assert distance(u.T @ u, torch.diag((values > 0).double())) < 1e-13


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: Separable((torch.ones(3),)), r"of shape \(3,\)"),
        (lambda: Separable((torch.ones(2, 2).long(),)), "int64"),
        (lambda: Separable((torch.full((2, 2), float("inf")),)), "not finite"),
        (lambda: Separable((torch.ones(2, 4), None)).on((3, 5, 4)), "4 columns meets an axis of 5 values"),
        (lambda: Separable((None, None)).on((8,)), "at most one for each axis"),
    ],
)
def test_mistakes_are_explained(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()
