"""Blurs with a singular system against scipy.ndimage and numpy's Fourier transform, and what the cutoff means."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.ndimage
import torch
from dense import dense, distance, draw

from pellucid.operators import CircularBlur, GaussianBlur, MotionBlur, gaussian_kernel, motion_kernel


def each(x, function):
    """The function on each channel of each item."""
    return torch.from_numpy(np.stack([np.stack([function(channel) for channel in item]) for item in x.numpy()]))


@pytest.mark.parametrize("size", [(3, 3), (4, 5), (2, 6), (7, 1), (9, 12)])
@pytest.mark.parametrize("shape", [(3, 9, 12), (2, 10, 13)])
def test_circular_blur_is_scipys_convolution(size, shape):
    kernel = draw(size, 1, count=1)[0]
    kernel = kernel / kernel.sum()
    x = draw(shape, 2)
    expected = each(x, lambda channel: scipy.ndimage.convolve(channel, kernel.numpy(), mode="wrap"))
    assert distance(CircularBlur(kernel, cutoff=0)(x), expected) < 1e-13


@pytest.mark.parametrize("length", [8, 9])
def test_circular_blur_of_signals_and_vectors(length):
    kernel = torch.tensor([0.5, 0.3, 0.1, 0.1], dtype=torch.float64)
    x = draw((2, length), 3)
    expected = each(x, lambda channel: scipy.ndimage.convolve(channel, kernel.numpy(), mode="wrap"))
    blur = CircularBlur(kernel, cutoff=0)
    assert distance(blur(x), expected) < 1e-14
    assert distance(blur(x[:, 0]), expected[:, 0]) < 1e-14


@pytest.mark.parametrize(("boundary", "mode"), [("reflect", "reflect"), ("periodic", "wrap")])
@pytest.mark.parametrize("sigma", [0.4, 1.3, 2.5])
def test_gaussian_blur_is_scipys(boundary, mode, sigma):
    blur = GaussianBlur(sigma, boundary, cutoff=0)
    for shape in ((3, 9, 12), (2, 17)):
        x = draw(shape, 4)
        expected = each(x, lambda channel: scipy.ndimage.gaussian_filter(channel, sigma, mode=mode, truncate=4.0))
        assert distance(blur(x), expected) < 1e-13


def test_the_three_ways_to_a_periodic_gaussian_are_one():
    x, y = draw((3, 14, 15), 5), draw((3, 14, 15), 6)
    one, two = GaussianBlur(1.2, "periodic"), CircularBlur(gaussian_kernel(1.2))
    assert distance(one(x), two(x)) < 1e-13
    assert distance(one.on((3, 14, 15)).pinv(y), two.on((3, 14, 15)).pinv(y)) < 1e-11


def test_motion_blur_is_a_circular_blur():
    x = draw((3, 14, 15), 7)
    assert torch.equal(MotionBlur(7, 25)(x), CircularBlur(motion_kernel(7, 25))(x))


@pytest.mark.parametrize("cutoff", [0.01, 0.1])
def test_the_cutoff_loses_weak_frequencies_and_nothing_else(cutoff):
    shape = (1, 12, 13)
    whole, part = GaussianBlur(1.6, cutoff=0).on(shape), GaussianBlur(1.6, cutoff=cutoff).on(shape)
    strong = np.linalg.svd(dense(whole), compute_uv=False)
    kept = np.linalg.svd(dense(part), compute_uv=False)
    assert np.allclose(kept, np.where(strong >= cutoff, strong, 0), atol=1e-12)
    x = draw(shape, 8)
    assert float((whole(x) - part(x)).flatten(1).norm(dim=1).max()) < cutoff * float(x.flatten(1).norm(dim=1).max())


def test_the_cutoff_changes_a_smooth_picture_less_than_8_bits_do():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    disc = torch.where((x**2 + y**2).sqrt() < 0.6, 1.0, -1.0).double()[None, None]  # the sharpest edge there can be
    lost = GaussianBlur(1.6, cutoff=0)(disc) - GaussianBlur(1.6)(disc)
    assert float(lost.square().mean().sqrt()) < 2 / 255 / 12**0.5


def test_a_constant_stays():
    x = torch.full((1, 3, 10, 11), 0.7, dtype=torch.float64)
    for blur in (GaussianBlur(2.0), GaussianBlur(2.0, "periodic"), MotionBlur(6, 40)):
        assert distance(blur(x), x) < 1e-14


@pytest.mark.parametrize("blur", [GaussianBlur(1.6), GaussianBlur(3.0, "periodic"), MotionBlur(15, 30)])
def test_pinv_of_a_large_picture_is_fast_and_exact(blur):
    blur = blur.on((3, 512, 512))
    y = blur(draw((3, 512, 512), 9, count=1, dtype=torch.float32))
    blur.pinv(y)  # makes the frequencies once
    start = time.process_time()
    found = blur.pinv(y)
    assert time.process_time() - start < 2
    assert distance(blur(found), y) < 1e-5
