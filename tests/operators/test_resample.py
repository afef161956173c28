"""Down-sampling against torch's pooling, Pillow's and torch's bicubic, and on a picture too large for a matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense import distance, draw
from PIL import Image
from torch.nn import functional

from pellucid.foundations.errors import UserError
from pellucid.operators import Bicubic, Downsample
from pellucid.operators.resample import bicubic_matrix


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pooling_is_torchs(factor):
    x = draw((3, 12, 18), 0)
    assert distance(Downsample(factor)(x), functional.avg_pool2d(x, factor)) < 1e-14
    signal = draw((2, 12), 1)
    assert distance(Downsample(factor)(signal), functional.avg_pool1d(signal, factor)) < 1e-14
    assert torch.equal(Downsample(factor)(signal[:, 0]), Downsample(factor)(signal)[:, 0])


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_is_pillows_away_from_the_border(factor):
    # Pillow cuts its kernel at the border where ours mirrors the picture; its type "F" computes in float32
    height, width = 12 * factor, 10 * factor
    x = draw((1, height, width), 2, dtype=torch.float32)
    pillow = [
        np.asarray(
            Image.fromarray(item[0].numpy()).resize((width // factor, height // factor), Image.Resampling.BICUBIC)
        )
        for item in x
    ]
    expected = torch.from_numpy(np.stack(pillow))[:, None]
    inner = (..., slice(2, -2), slice(2, -2))
    assert distance(Bicubic(factor)(x)[inner], expected[inner]) < 1e-6


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_is_torchs_on_a_mirrored_picture(factor):
    x = draw((2, 6 * factor, 5 * factor), 3)
    # mirrored with the border value, which torch's own padding cannot do
    wide = torch.cat([x.flip(-1), x, x.flip(-1)], dim=-1)
    wide = torch.cat([wide.flip(-2), wide, wide.flip(-2)], dim=-2)
    pooled = functional.interpolate(wide, scale_factor=1 / factor, mode="bicubic", antialias=True)
    assert distance(Bicubic(factor)(x), pooled[..., 6:12, 5:10]) < 1e-12


def test_bicubic_keeps_constants_and_mirror_images():
    for length, factor in ((12, 2), (12, 3), (12, 4), (4, 4), (2, 2)):
        matrix = bicubic_matrix(length, factor)
        assert float((matrix.sum(1) - 1).abs().max()) < 1e-14
        assert float((matrix - matrix.flip(0, 1)).abs().max()) < 1e-14
    assert torch.equal(bicubic_matrix(5, 1), torch.eye(5, dtype=torch.float64))


@pytest.mark.parametrize("op", [Downsample(4), Bicubic(4)])
def test_a_large_picture_needs_no_dense_matrix(op):
    # a dense matrix would hold 512^4 / 16 numbers: 17 GB in float32, where these hold a few times the picture
    op = op.on((1, 512, 512))
    y = draw(op.out_shape, 4, count=1, dtype=torch.float32)
    assert distance(op(op.pinv(y)), y) < 1e-5
    restored = op.pinv(y)
    assert distance(op.pinv(op(restored)), restored) < 1e-5
    noisy = op.gram_solve(y, noise_variance=0.1)
    assert distance(op(op.adjoint(noisy)) + 0.1 * noisy, y) < 1e-5


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: Downsample(0), "at least 1; got 0"),
        (lambda: Downsample(2.5), "got 2.5"),
        (lambda: Bicubic(-2), "got -2"),
        (lambda: Downsample(4).on((3, 64, 66)), "64x66; cut them to 64x64, or use a factor that divides: 2"),
        (lambda: Bicubic(3).on((7,)), "cut them to 6, or use a factor that divides: 7"),
        (lambda: Bicubic(3)(torch.zeros(1, 3, 8, 5)), "1 alone"),
    ],
)
def test_mistakes_are_explained(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()
