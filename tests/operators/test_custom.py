"""Matrices and functions of the user's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense import dense, distance, draw

from pellucid.foundations.errors import UserError
from pellucid.operators import Custom, Matrix


def test_a_wide_matrix_is_never_squared():
    # V' of a (64, 40,000) matrix would be 12.8 GB in float64; its reflections are as large as the matrix
    matrix = draw((64, 40_000), 0, count=1, dtype=torch.float32)[0]
    op = Matrix(matrix).on((40_000,))
    x = draw((40_000,), 1, count=2, dtype=torch.float32)
    system = op.system
    assert distance(system.v_inverse(system.v(x)), x) < 1e-5
    assert distance(system.u_inverse(system.values.float() * system.v(x)), op(x)) < 1e-5
    assert distance(op(op.pinv(op(x))), op(x)) < 1e-5


def test_the_values_of_a_matrix_are_numpys():
    for rows in (4, 6, 9):
        matrix = draw((rows, 6), rows, count=1)[0]
        found = Matrix(matrix).on((6,)).system.values.sort(descending=True).values[: min(rows, 6)]
        assert np.allclose(found, np.linalg.svd(matrix.numpy(), compute_uv=False), rtol=1e-12)


def test_a_function_and_its_matrix_are_one_operator():
    kernel = draw((1, 1, 3), 2, count=1)[0]
    blur = Custom(lambda x: torch.nn.functional.conv1d(x, kernel.to(x))).on((1, 9))
    matrix = Matrix(torch.from_numpy(dense(blur))).on((1, 9))
    x, y = draw((1, 9), 3), draw(blur.out_shape, 4)
    assert distance(blur(x).flatten(1), matrix(x)) < 1e-14
    assert distance(blur.adjoint(y), matrix.adjoint(y.flatten(1))) < 1e-14
    assert distance(blur.pinv(y), matrix.pinv(y.flatten(1))) < 1e-10
    assert blur.norm() == pytest.approx(matrix.norm(), rel=0.02)  # fifty steps of power iteration


def test_an_adjoint_that_is_given_is_used():
    def outside(x):
        return torch.from_numpy(np.cumsum(x.detach().numpy(), axis=1))

    def back(y):
        return torch.from_numpy(np.ascontiguousarray(np.cumsum(y.detach().numpy()[:, ::-1], axis=1)[:, ::-1]))

    op, expected = Custom(outside, back).on((6,)), Custom(lambda x: x.cumsum(1)).on((6,))
    y = draw((6,), 5)
    assert distance(op.adjoint(y), expected.adjoint(y)) < 1e-14
    assert distance(op.pinv(y), torch.diff(y, dim=1, prepend=torch.zeros(3, 1, dtype=y.dtype))) < 1e-10


def test_gradients_pass_through_an_adjoint():
    op = Custom(lambda x: x[:, 1:] * 3.0 - x[:, :-1]).on((5,))
    y = draw((4,), 6).requires_grad_()
    x = draw((5,), 7)
    (back,) = torch.autograd.grad(op.adjoint(y), y, x)
    assert distance(back, op(x)) < 1e-14


def test_where_torch_cannot_differentiate_an_adjoint_is_asked_for():
    op = Custom(lambda x: torch.from_numpy(np.cumsum(x.detach().numpy(), axis=1))).on((6,))
    with pytest.raises(UserError, match=r"cannot differentiate.*Custom\(function, transpose\)"):
        op.adjoint(torch.zeros(1, 6))


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: Custom(3), "function of a batch of items.*got int"),
        (lambda: Custom(lambda x: x @ torch.ones(4, 2)).on((5,)), r"fails on a batch.*\(2, 5\): RuntimeError: "),
        (lambda: Custom(lambda x: x.numpy()).on((5,)), "returned ndarray"),
        (lambda: Custom(lambda x: x.sum()).on((5,)), "returned torch.float32 of shape \\(\\)"),
        (lambda: Custom(lambda x: x[0]).on((5,)), r"of shape \(5,\)"),
        (lambda: Custom(lambda x: x > 0).on((5,)), "torch.bool"),
        (lambda: Custom(lambda x: x / x.norm()).on((5,)), "NaN or infinity"),
    ],
)
def test_mistakes_are_explained(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()
