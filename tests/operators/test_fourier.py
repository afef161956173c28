"""Partial Fourier sampling against numpy's Fourier transform: what is measured, and that it is complex pairs."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from dense import distance, draw

from pellucid.foundations.errors import UserError
from pellucid.operators import PartialFourier, RadialFourier

SHAPES = [(3, 8, 12), (2, 9, 7), (1, 8, 9)]
ALL = [PartialFourier(0.3, seed=1), PartialFourier(0.3, lines=False, seed=1), RadialFourier(3)]


def negated(mask):
    """The mask at -k, index by index."""
    height, width = mask.shape
    return torch.stack([torch.stack([mask[-i % height, -j % width] for j in range(width)]) for i in range(height)])


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize("shape", SHAPES)
def test_masks_are_symmetric(op, shape):
    mask = op.on(shape).mask()
    assert torch.equal(mask, negated(mask))
    assert bool(mask[0, 0])


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize("shape", SHAPES)
def test_pinv_is_the_zero_filled_fourier_picture(op, shape):
    op = op.on(shape)
    x = draw(shape, 2)
    spectrum = np.fft.fft2(x.numpy()) * op.mask().numpy()
    picture = np.fft.ifft2(spectrum)
    assert np.abs(picture.imag).max() < 1e-14
    assert distance(op.pinv(op(x)), torch.from_numpy(picture.real)) < 1e-14


@pytest.mark.parametrize("op", ALL)
def test_measurements_hold_the_complex_coefficients(op):
    shape = (1, 8, 9)
    op = op.on(shape)
    x = draw(shape, 3)
    spectrum = np.fft.fft2(x.numpy(), norm="ortho")
    kept = np.argwhere(op.mask().numpy())
    assert op.out_shape == (1, len(kept))
    y = op(x).numpy()
    column = {(i, j): n for n, (i, j) in enumerate(map(tuple, kept.tolist()))}
    for (i, j), n in column.items():
        there, back = y[:, 0, n], y[:, 0, column[-i % 8, -j % 9]]
        assert np.abs(spectrum[:, 0, i, j] - ((there + back) / 2 + 1j * (back - there) / 2)).max() < 1e-14


@pytest.mark.parametrize("shape", [(3, 64, 48), (1, 63, 50)])
@pytest.mark.parametrize("lines", [True, False])
def test_the_share_and_the_lowest_frequencies_are_as_asked(shape, lines):
    op = PartialFourier(0.3, 0.1, lines=lines, seed=4).on(shape)
    # a pair of frequencies (of lines) is kept whole, so a share may be over by one of them
    assert 0 <= op.share - 0.3 + 0.5 / shape[1] <= 2 / (shape[1] if lines else shape[1] * shape[2]) + 1 / shape[1]
    mask = op.mask()
    if lines:
        assert bool((mask == mask[:, :1]).all())
        assert bool(mask[:3].all())
        assert bool(mask[-2:].all())
    else:
        assert bool(mask[:6, :6].all())


def test_signals_and_vectors():
    x = draw((2, 21), 5)
    op = PartialFourier(0.4, seed=2).on((2, 21))
    spectrum = np.fft.fft(x.numpy()) * op.mask().numpy()
    assert distance(op.pinv(op(x)), torch.from_numpy(np.fft.ifft(spectrum).real)) < 1e-14
    assert torch.equal(PartialFourier(0.4, seed=2)(x[:, 0]), op(x)[:, 0])


def test_seeds_decide():
    masks = [PartialFourier(0.3, lines=False, seed=seed).on((1, 16, 16)).mask() for seed in (0, 0, 1)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize("size", [16, 17])
def test_radial_lines_are_lines(size):
    one = torch.fft.fftshift(RadialFourier(1).on((1, size, size)).mask())
    assert bool(one[size // 2].all())  # along the horizontal, and nothing else
    assert int(one.sum()) == size
    two = torch.fft.fftshift(RadialFourier(2).on((1, size, size)).mask())
    assert int(two.sum()) == 2 * size - 1
    assert bool(two[:, size // 2].all())
    four = RadialFourier(4).on((1, size, size)).mask()
    assert torch.equal(four, four.T)
    index = torch.arange(size)
    assert bool(four[index, index].all())


def test_radial_lines_meet_every_ring():
    # near the middle all frequencies are measured; a line more never measures less in all
    shares = [RadialFourier(lines).on((1, 64, 64)).share for lines in (4, 8, 16, 32, 200)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.75  # the disc inside the square
    mask = torch.fft.fftshift(RadialFourier(16).on((1, 64, 64)).mask())
    assert bool(mask[29:36, 29:36].all())


@pytest.mark.parametrize("op", [PartialFourier(0.25), RadialFourier(40)])
def test_pinv_of_a_large_picture_is_fast_and_exact(op):
    op = op.on((3, 512, 512))
    y = op(draw((3, 512, 512), 6, count=1, dtype=torch.float32))
    start = time.process_time()
    found = op.pinv(y)
    assert time.process_time() - start < 2
    assert distance(op(found), y) < 1e-6


def test_mistakes_are_refused():
    for keep in (0, 1.5, -1):
        with pytest.raises(UserError, match="keep is the share"):
            PartialFourier(keep)
    with pytest.raises(UserError, match=r"from 0 to keep = 0\.2"):
        PartialFourier(0.2, 0.3)
    with pytest.raises(UserError, match="at least 1"):
        RadialFourier(0)
    with pytest.raises(UserError, match="PartialFourier"):
        RadialFourier(4).on((2, 9))
