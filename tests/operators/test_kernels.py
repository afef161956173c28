"""Blur kernels: exact geometry, Gaussians by their law, and the mistakes that are refused."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.operators import Blur, CircularBlur, GaussianBlur, MotionBlur, VaryingBlur, gaussian_kernel, motion_kernel

NAN = float("nan")


@pytest.mark.parametrize("sigma", [0.8, 1.6, 3.0])
def test_a_gaussian_kernel_has_its_variance(sigma):
    kernel = gaussian_kernel(sigma)
    j = torch.arange(len(kernel), dtype=torch.float64) - len(kernel) // 2
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-14)
    assert torch.equal(kernel, kernel.T)
    # Sampling leaves a Gaussian's variance, up to 2 exp(-2 pi^2 sigma^2); cutting it at four sigma takes about 0.1 %
    assert float((kernel.sum(0) * j**2).sum()) == pytest.approx(sigma**2, rel=2e-3)
    assert torch.allclose(kernel.log().diff(dim=0).diff(dim=0), torch.tensor(-1 / sigma**2, dtype=torch.float64))


def test_no_blur_is_one_point():
    assert gaussian_kernel(0.0).tolist() == [[1.0]]
    assert motion_kernel(1).tolist() == [[1.0]]


@pytest.mark.parametrize(("length", "angle"), [(1.5, 20), (5, 0), (6, 90), (7.3, 33), (9, 45), (8, -60), (11, 150)])
def test_a_motion_kernel_is_a_line_divided_among_pixels(length, angle):
    kernel = motion_kernel(length, angle)
    # a million points along the line, each in the pixel nearest to it: wrong by two points for each pixel it enters
    t = (torch.arange(1_000_000, dtype=torch.float64) + 0.5) / 1_000_000 - 0.5
    y = (-t * length * math.sin(math.radians(angle))).round().long() + kernel.shape[0] // 2
    x = (t * length * math.cos(math.radians(angle))).round().long() + kernel.shape[1] // 2
    counted = torch.zeros_like(kernel).index_put((y, x), torch.ones_like(t) / len(t), accumulate=True)
    assert float((kernel - counted).abs().max()) < 3e-6
    assert torch.allclose(kernel, kernel.flip(0, 1), atol=1e-12)


def test_motion_kernels_turn_anticlockwise():
    kernel = motion_kernel(9, 45)
    assert float(kernel[0, -1]) > 0
    assert float(kernel[0, 0]) == 0
    assert torch.allclose(motion_kernel(7, 30).T, motion_kernel(7, 60).flip(0, 1), atol=1e-12)
    assert motion_kernel(5, 90).shape == (5, 1)


@pytest.mark.parametrize("make", [CircularBlur, Blur])
def test_wrong_kernels_are_refused(make):
    with pytest.raises(UserError, match=r"sums to 9; use kernel / kernel\.sum\(\)"):
        make(torch.ones(3, 3))
    with pytest.raises(UserError, match=r"sums to 0; .* cannot be normalised"):
        make(torch.zeros(3, 3))
    with pytest.raises(UserError, match="not finite"):
        make(torch.tensor([[NAN, 1.0]]))
    with pytest.raises(UserError, match=r"got the shape \(1, 1, 3\)"):
        make(torch.full((1, 1, 3), 1 / 3))
    fits = make(torch.full((5, 5), 1 / 25))
    with pytest.raises(UserError, match="5x5 is larger than the items of 4x9"):
        fits.on((3, 4, 9))
    with pytest.raises(UserError, match="2 axes does not fit items with 1"):
        fits.on((2, 9))
    make(torch.full((3, 3), 1.0005 / 9))  # within the tolerance


def test_wrong_options_are_refused():
    for sigma in (-1.0, NAN, math.inf):
        with pytest.raises(UserError, match="sigma of a Gaussian blur"):
            GaussianBlur(sigma)
        with pytest.raises(UserError, match="sigmas of a varying blur"):
            VaryingBlur(torch.tensor([1.0, sigma]))
    for length in (0, -2, NAN):
        with pytest.raises(UserError, match="length above zero"):
            MotionBlur(length)
    with pytest.raises(UserError, match="larger than the items"):
        MotionBlur(9).on((3, 8, 8))
    with pytest.raises(UserError, match="did you mean 'reflect'"):
        GaussianBlur(1.0, "reflekt")
    with pytest.raises(UserError, match="Allowed: reflect, zero"):
        Blur(torch.ones(1, 1), "periodic")
    with pytest.raises(UserError, match="cutoff"):
        GaussianBlur(1.0, cutoff=1.0)
    with pytest.raises(UserError, match=r"map of sigmas has the shape \(4, 5\)"):
        VaryingBlur(torch.ones(4, 5)).on((3, 5, 4))
    with pytest.raises(UserError, match="at least 2 levels"):
        VaryingBlur(torch.ones(4), levels=1)
