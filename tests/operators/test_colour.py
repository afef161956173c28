"""Operators on channels against sums written out, and Pillow's own grey."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense import distance, draw
from PIL import Image

from pellucid.foundations.errors import UserError
from pellucid.operators import ChannelMix, Decolorise, Demosaic, Matrix


def test_grey_is_pillows():
    picture = (draw((3, 9, 7), 0, count=1).sigmoid() * 255).round()[0]
    grey = Image.fromarray(picture.permute(1, 2, 0).numpy().astype(np.uint8)).convert("L")
    # Pillow rounds its weights to 16 bits and the result to a whole number
    assert float((Decolorise()(picture[None])[0, 0] - torch.from_numpy(np.asarray(grey).copy())).abs().max()) <= 0.51
    assert distance(Decolorise(None)(picture[None]), picture[None].mean(1, keepdim=True)) < 1e-14


def test_the_inverse_of_grey_is_the_nearest_picture():
    # |x| is least along the weights: x = w y / |w|^2
    y = draw((1, 4, 5), 1)
    w = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    assert distance(Decolorise().on((3, 4, 5)).pinv(y), w[:, None, None] * y / w.square().sum()) < 1e-12


def test_a_mixture_is_a_sum_over_channels():
    matrix, x = draw((2, 3), 2, count=1)[0], draw((3, 4, 5), 3)
    assert distance(ChannelMix(matrix)(x), torch.einsum("mc,bchw->bmhw", matrix, x)) < 1e-14


@pytest.mark.parametrize(
    ("pattern", "seen"),
    [
        ("RGGB", [[1, 2, 1], [2, 3, 2], [1, 2, 1]]),
        ("BGGR", [[3, 2, 3], [2, 1, 2], [3, 2, 3]]),
        ("GRBG", [[2, 1, 2], [3, 2, 3], [2, 1, 2]]),
        ("GBRG", [[2, 3, 2], [1, 2, 1], [2, 3, 2]]),
    ],
)
def test_a_sensor_sees_one_colour_at_each_pixel(pattern, seen):
    flat = torch.tensor([1.0, 2.0, 3.0])[None, :, None, None].expand(1, 3, 3, 3)
    assert Demosaic(pattern)(flat)[0, 0].tolist() == seen


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: Decolorise().on((1, 8, 8)), "made for 3 channels.*have 1; weights=None"),
        (lambda: Decolorise().on((8,)), "no channels"),
        (lambda: Decolorise((0.0, 0.0, 0.0)), "not all zero"),
        (lambda: Decolorise((1.0, float("inf"), 0.0)), "finite"),
        (lambda: ChannelMix(torch.ones(3)), "matrix"),
        (lambda: ChannelMix(torch.full((1, 3), float("nan"))), "finite"),
        (lambda: ChannelMix(torch.ones(2, 3)).on((4, 8, 8)), "made for 3 channels.*have 4"),
        (lambda: Demosaic("RGBG"), "unknown Bayer pattern 'RGBG'"),
        (lambda: Demosaic().on((1, 8, 8)), "three channels"),
        (
            lambda: Matrix(torch.ones(2, 3)).on((2,)),
            r"3 columns, but an item of shape \(2,\).*\(m, 2\).*transpose would fit",
        ),
        (lambda: Matrix(torch.ones(2, 3)).on((2, 2)), r"matrix \(m, 4\) is needed$"),
        (lambda: Matrix(torch.ones(2, 3).int()), "floating-point matrix"),
        (lambda: Matrix(torch.full((2, 3), float("nan"))), "not finite"),
    ],
)
def test_mistakes_are_explained(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()
