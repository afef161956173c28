"""Compressed sensing against scipy's Hadamard matrix, dense rows, and the law of random subspaces."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
import scipy.linalg
import torch
from dense import dense, distance, draw

from pellucid.foundations.errors import UserError
from pellucid.operators import BlockSensing, GaussianSensing, HadamardSensing
from pellucid.operators.sensing import walsh_hadamard

ALL = [GaussianSensing(0.3, 1), HadamardSensing(0.3, 1), BlockSensing(4, 0.3, 1)]


@pytest.mark.parametrize("n", [1, 2, 4, 32, 64, 128, 512])
def test_walsh_hadamard_is_scipys(n):
    expected = torch.from_numpy(scipy.linalg.hadamard(n) / n**0.5)
    assert distance(walsh_hadamard(torch.eye(n, dtype=torch.float64)), expected) < 1e-14
    x = draw((2, n), 0)
    assert distance(walsh_hadamard(walsh_hadamard(x)), x) < 1e-14


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize("shape", [(32,), (2, 24), (3, 8, 12)])
def test_rows_are_orthonormal_and_pinv_is_the_adjoint(op, shape):
    bound = op.on(shape)
    matrix = dense(bound)
    assert np.abs(matrix @ matrix.T - np.eye(len(matrix))).max() < 1e-14
    y = draw(bound.out_shape, 1)
    assert torch.equal(bound.pinv(y), bound.adjoint(y))


@pytest.mark.parametrize("op", ALL)
def test_channels_are_measured_alike_and_apart(op):
    x = draw((3, 8, 12), 2)
    whole = op(x)
    for channel in range(3):
        assert distance(whole[:, channel], op(x[:, channel : channel + 1])[:, 0]) < 1e-14


@pytest.mark.parametrize("op", ALL)
def test_randomness_is_a_function_of_the_seed_alone(op):
    x = draw((1, 8, 12), 3)
    torch.manual_seed(5)
    first = op(x)
    torch.manual_seed(6)
    again = dataclasses.replace(op, shape=None)
    other = dataclasses.replace(op, shape=None, seed=op.seed + 1)
    assert torch.equal(first, again(x))
    assert distance(other(x), first) > 0.5


@pytest.mark.parametrize("op", [GaussianSensing, HadamardSensing])
def test_the_share_of_a_vector_that_is_seen_is_the_ratio(op):
    # |A x|^2 / |x|^2 has the mean m / n over random seeds, also for a smooth x and for one with a single value
    n, ratio, seeds = 96, 0.25, 200
    for x in (torch.ones(1, n, dtype=torch.float64), torch.eye(n, dtype=torch.float64)[:1]):
        shares = torch.tensor([float(op(ratio, seed)(x).square().sum() / x.square().sum()) for seed in range(seeds)])
        assert abs(float(shares.mean()) - ratio) < 4 * float(shares.std()) / seeds**0.5


def test_hadamard_is_signs_then_rows_of_the_matrix():
    op = HadamardSensing(0.25, 3).on((64,))
    matrix = dense(op) / op.signs[0].double().numpy()
    assert np.abs(matrix - scipy.linalg.hadamard(64)[op.rows] / 8).max() < 1e-14
    assert len(set(op.rows.tolist())) == 16


@pytest.mark.parametrize("n", [3, 5, 48, 63, 65, 100])
def test_hadamard_of_any_length_mixes_many_values(n):
    op = HadamardSensing(1.0, 3).on((n,))
    matrix = dense(op)
    assert np.abs(matrix @ matrix.T - np.eye(n)).max() < 1e-14
    # every measurement mixes a window's worth of values, more than half of all
    assert int((np.abs(matrix) > 1e-12).sum(1).min()) > n / 2


def test_blocks_are_measured_by_one_matrix():
    op = BlockSensing(4, 0.5, 2)
    x = draw((2, 8, 12), 4)
    seen = op(x).reshape(3, 2, 2, 3, 8)
    for i in range(2):
        for j in range(3):
            block = x[..., 4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
            assert distance(seen[:, :, i, j], op(block)) < 1e-14


@pytest.mark.parametrize("op", [HadamardSensing(0.25), BlockSensing(16, 0.25)])
@pytest.mark.parametrize("shape", [(3, 512, 512), (3, 480, 496)])
def test_pinv_of_a_large_picture_is_fast_and_exact(op, shape):
    op = op.on(shape)
    x = draw(shape, 5, count=1, dtype=torch.float32)
    y = op(x)
    start = time.process_time()
    found = op.pinv(y)
    assert time.process_time() - start < 2
    assert distance(op(found), y) < 1e-6


@pytest.mark.parametrize("op", ALL)
def test_grams_are_the_identity(op):
    op = op.on((16,))
    y = draw(op.out_shape, 6)
    assert distance(op.gram_solve(y, noise_variance=0.5, scale=1.5), y / 2) < 1e-15
    assert not bool(op.gram_solve(y, noise_variance=0.0, scale=0.0).any())


def test_mistakes_are_refused():
    for ratio in (0, -0.5, 1.01, float("nan")):
        for make in (GaussianSensing, HadamardSensing, lambda r: BlockSensing(8, r)):
            with pytest.raises(UserError, match="above 0 and at most 1"):
                make(ratio)
    with pytest.raises(UserError, match="cut the items to 8x8"):
        BlockSensing(4).on((3, 10, 9))
    with pytest.raises(UserError, match="from 1 to 64"):
        BlockSensing(0)
    with pytest.raises(UserError, match=r"GiB; HadamardSensing and BlockSensing serve"):
        GaussianSensing(0.25).on((3, 256, 256))
