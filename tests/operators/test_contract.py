"""Every registered operator against its own dense matrix, which numpy inverts; the examples are in `examples.py`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense import dense, distance, draw, times
from examples import EXAMPLES, Example

from pellucid.foundations.errors import UserError
from pellucid.operators import OPERATORS, check, require_linear

CASES = [
    pytest.param(example, id=f"{name}-{number}-{'x'.join(map(str, example.shape))}")
    for name, examples in EXAMPLES.items()
    for number, example in enumerate(examples)
]
every = pytest.mark.parametrize("example", CASES)
both = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
ROUND_OFF = {
    torch.float32: 1e-5,
    torch.float64: 1e-12,
}  # a few hundred units in the last place: sums of hundreds of terms


def test_every_registered_operator_has_an_example() -> None:
    assert sorted(EXAMPLES) == sorted(OPERATORS)


@every
@both
def test_forward_and_adjoint_are_one_matrix_and_its_transpose(example: Example, dtype: torch.dtype) -> None:
    op = example.make().on(example.shape)
    matrix = dense(op)
    x, y = draw(op.bound_shape, 1, dtype=dtype), draw(op.out_shape, 2, dtype=dtype)
    image, back = op(x), op.adjoint(y)
    assert (image.dtype, back.dtype) == (dtype, dtype)
    assert (tuple(image.shape[1:]), tuple(back.shape[1:])) == (op.out_shape, example.shape)
    assert distance(image, times(matrix, x, op.out_shape)) < ROUND_OFF[dtype]
    assert distance(back, times(matrix.T, y, op.bound_shape)) < ROUND_OFF[dtype]


@every
def test_gradients_pass_through_forward(example: Example) -> None:
    op = example.make().on(example.shape)
    x, y = draw(op.bound_shape, 1).requires_grad_(), draw(op.out_shape, 2)
    (back,) = torch.autograd.grad(op(x), x, y)
    assert distance(back, op.adjoint(y)) < ROUND_OFF[torch.float64]


@every
@both
def test_pinv_is_the_moore_penrose_inverse(example: Example, dtype: torch.dtype) -> None:
    op = example.make().on(example.shape)
    y = draw(op.out_shape, 2, dtype=dtype)
    found = op.pinv(y)
    assert found.dtype == dtype
    # numpy drops singular values below 1e-10 of the largest: far below any that an example keeps
    expected = times(np.linalg.pinv(dense(op), rcond=1e-10), y, op.bound_shape)
    assert distance(found, expected) < example.accuracy[dtype == torch.float64]


@every
@both
def test_the_four_penrose_conditions(example: Example, dtype: torch.dtype) -> None:
    op = example.make().on(example.shape)
    limit = example.accuracy[dtype == torch.float64]
    x, y, z, w = (draw(shape, 3 + i, dtype=dtype) for i, shape in enumerate([op.bound_shape, op.out_shape] * 2))
    assert distance(op(op.pinv(op(x))), op(x)) < limit
    assert distance(op.pinv(op(op.pinv(y))), op.pinv(y)) < limit
    for project, a, b in ((lambda v: op(op.pinv(v)), y, w), (lambda v: op.pinv(op(v)), x, z)):
        apart = (project(a) * b).double().sum() - (a * project(b)).double().sum()
        assert abs(float(apart)) < limit * float(a.norm() * b.norm())


@every
@both
def test_the_singular_system(example: Example, dtype: torch.dtype) -> None:
    op = example.make().on(example.shape)
    system = op.system
    if system is None:
        assert not example.closed
        return
    limit = ROUND_OFF[dtype]
    expected = np.zeros(op.size)
    found = np.linalg.svd(dense(op), compute_uv=False)[: op.size]
    expected[: len(found)] = found
    assert system.values.shape == (op.size,)
    assert torch.allclose(
        system.values.sort(descending=True).values.double().cpu(), torch.from_numpy(expected), atol=1e-7
    )

    x, y, z = draw(op.bound_shape, 1, dtype=dtype), draw(op.out_shape, 2, dtype=dtype), draw((op.size,), 3, dtype=dtype)
    values, kept = system.values.to(z), system.kept
    assert distance(system.u_inverse(values * system.v(x)), op(x)) < limit  # A = U S V'
    assert distance(system.v_inverse(system.v(x)), x) < limit  # V V' = I
    assert distance(system.v(system.v_inverse(z)), z) < limit  # V' V = I
    assert distance(system.u(system.u_inverse(z)) * kept, z * kept) < limit  # U' U = I where A keeps
    assert not bool(system.u(y)[:, values == 0].any())
    assert not bool(system.u_inverse(z * (values == 0)).any())  # what A loses is ignored
    pair = (
        (system.u(y) * z * kept).double().sum(),
        (y * system.u_inverse(z * kept)).double().sum(),
    )  # U' is U transposed
    assert abs(float(pair[0] - pair[1])) < limit * float(y.norm() * z.norm())


@every
def test_norm(example: Example) -> None:
    op = example.make().on(example.shape)
    largest = np.linalg.norm(dense(op), 2)
    if op.system is None:  # fifty steps of power iteration, from below
        assert 0.97 * largest < op.norm() < largest * (1 + 1e-5)
    else:
        assert op.norm() == pytest.approx(largest, rel=1e-6)


@every
@both
def test_gram_solve_and_proximal(example: Example, dtype: torch.dtype) -> None:
    op = example.make().on(example.shape)
    matrix = dense(op)
    gram, unit = matrix @ matrix.T, np.eye(len(matrix))
    y, x = draw(op.out_shape, 2, dtype=dtype), draw(op.bound_shape, 1, dtype=dtype)
    limit = 10 * example.accuracy[dtype == torch.float64]  # the condition number of the sum is at most about 10 here
    noise, scale = 0.3 * gram.trace() / len(gram) + 1e-3, 1.7
    solved = op.gram_solve(y, noise_variance=noise, scale=scale)
    assert distance(solved, times(np.linalg.inv(scale * gram + noise * unit), y, op.out_shape)) < limit

    variance = torch.tensor([0.5, 1.0, 2.0], dtype=dtype)  # one for each item
    moved = op.proximal(x, y, noise_variance=noise * variance, prior_variance=variance)
    pull = matrix.T @ np.linalg.inv(gram + noise * unit)
    expected = x.double() + times(pull, y.double() - times(matrix, x, op.out_shape), op.bound_shape)
    assert distance(moved, expected) < limit


@every
def test_gram_solve_without_noise_is_the_pseudo_inverse_of_the_gram(example: Example) -> None:
    op = example.make().on(example.shape)
    matrix, y = dense(op), draw(op.out_shape, 2)
    expected = times(np.linalg.pinv(matrix @ matrix.T, rcond=1e-12), y, op.out_shape)
    # the inverse of the square is wrong by the square of the condition number, 100 or less in the examples
    limit = 1e4 * example.accuracy[1]
    assert distance(op.gram_solve(y, noise_variance=0.0), expected) < limit
    noise = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)  # some items with and some without
    mixed = op.gram_solve(y, noise_variance=noise, scale=4.0)
    noisy = times(np.linalg.inv(4 * matrix @ matrix.T + np.eye(len(matrix))), y, op.out_shape)
    assert distance(mixed[::2], expected[::2] / 4) < limit
    assert distance(mixed[1], noisy[1]) < limit


@every
@both
def test_its_own_check_passes(example: Example, dtype: torch.dtype) -> None:
    report = check(example.make(), example.shape, dtype=dtype)
    assert report.passed, report
    require_linear(example.make(), example.shape, dtype=dtype)


@every
def test_items_are_apart(example: Example) -> None:
    op = example.make().on(example.shape)
    x = draw(op.bound_shape, 1)
    assert distance(torch.cat([op(item[None]) for item in x]), op(x)) < ROUND_OFF[torch.float64]


@every
def test_a_bound_operator_refuses_another_shape(example: Example) -> None:
    op = example.make().on(example.shape)
    with pytest.raises(UserError, match="shape"):
        op(torch.zeros(1, *example.shape, 2))
