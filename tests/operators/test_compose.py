"""Products, stacks and multiples against the products, stacks and multiples of matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense import dense, distance, draw

from pellucid.foundations.errors import UserError
from pellucid.operators import Bicubic, Compose, Crop, Custom, Decolorise, Downsample, Mask, Scale, Stack

SHAPE = (3, 4, 6)


def test_a_product_is_the_product_of_matrices_and_the_last_acts_first():
    inner, outer = Decolorise(), Downsample(2)
    expected = dense(outer.on((1, 4, 6))) @ dense(inner.on(SHAPE))
    assert np.allclose(dense(Compose((outer, inner)).on(SHAPE)), expected, atol=1e-14)
    x = draw(SHAPE, 0)
    assert distance(Compose((outer, inner))(x), outer(inner(x))) < 1e-14
    assert Compose((outer, inner)).on(SHAPE).out_shape == (1, 2, 3)


def test_products_and_stacks_nest():
    x = draw(SHAPE, 1)
    nested = Compose((Compose((Crop((0, 0), (1, 2)), Downsample(2))), Decolorise()))
    flat = Compose((Crop((0, 0), (1, 2)), Downsample(2), Decolorise()))
    assert torch.equal(nested(x), flat(x))
    both = Stack((nested, Mask(torch.ones(4, 6)))).on(SHAPE)
    first, second = both.split(both(x))
    assert torch.equal(first, flat(x))
    assert torch.equal(second, x)


def test_a_stack_is_the_stack_of_matrices():
    views = (Downsample(2), Decolorise(), Crop((1, 1), (2, 2)))
    expected = np.vstack([dense(view.on(SHAPE)) for view in views])
    assert np.allclose(dense(Stack(views).on(SHAPE)), expected, atol=1e-14)


def test_two_views_restore_what_neither_does():
    mask = torch.arange(6) % 2 == 0
    x = draw((6,), 2)
    assert distance(Stack((Mask(mask), Mask(~mask))).on((6,)).pinv(Stack((Mask(mask), Mask(~mask)))(x)), x) < 1e-10


@pytest.mark.parametrize("factor", [-3.0, 0.5])
def test_a_multiple_has_the_multiple_of_the_singular_values(factor):
    op, scaled = Bicubic(2).on(SHAPE), Scale(factor, Bicubic(2)).on(SHAPE)
    x, y = draw(SHAPE, 3), draw(op.out_shape, 4)
    assert distance(scaled(x), factor * op(x)) < 1e-14
    assert distance(scaled.pinv(y), op.pinv(y) / factor) < 1e-12
    assert torch.equal(scaled.system.values, abs(factor) * op.system.values)
    assert Scale(factor, Custom(lambda x: x)).on(SHAPE).system is None


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: Compose(()), "at least one"),
        (lambda: Compose(Downsample(2)), r"as a tuple: Compose\(\(outer, inner\)\)"),
        (lambda: Stack((Downsample(2), torch.ones(2, 2))), r"got Tensor; .*Matrix\(tensor\)"),
        (lambda: Scale(0.0, Downsample(2)), "other than zero"),
        (lambda: Scale(float("nan"), Downsample(2)), "got nan"),
        (lambda: Compose((Decolorise(), Decolorise())).on(SHAPE), "made for 3 channels.*have 1"),
        (lambda: Stack((Downsample(4),)).on(SHAPE), "4 divides"),
    ],
)
def test_mistakes_are_explained(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()
