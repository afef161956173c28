"""Blurs without a singular system against scipy.ndimage, and against a Gaussian of its own at each place."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from dense import dense, distance, draw, times

from pellucid.operators import Blur, GaussianBlur, VaryingBlur, gaussian_kernel
from pellucid.operators.solve import MAX_ITERATIONS


@pytest.mark.parametrize(("boundary", "mode"), [("reflect", "reflect"), ("zero", "constant")])
@pytest.mark.parametrize("size", [(3, 3), (4, 5), (1, 6), (9, 12)])
def test_blur_is_scipys_convolution(boundary, mode, size):
    kernel = draw(size, 1, count=1)[0]
    kernel = kernel / kernel.sum()
    x = draw((2, 9, 12), 2)
    expected = [[scipy.ndimage.convolve(c, kernel.numpy(), mode=mode) for c in item] for item in x.numpy()]
    assert distance(Blur(kernel, boundary)(x), torch.from_numpy(np.array(expected))) < 1e-13


def test_blur_meets_the_gaussian_blur():
    x = draw((3, 14, 15), 3)
    assert distance(Blur(gaussian_kernel(1.2))(x), GaussianBlur(1.2, cutoff=0)(x)) < 1e-13


def test_the_adjoint_has_a_gradient():
    blur = Blur(gaussian_kernel(0.8)).on((1, 9, 8))
    x, y = draw((1, 9, 8), 4), draw((1, 9, 8), 5).requires_grad_()
    (back,) = torch.autograd.grad(blur.adjoint(y), y, x)
    assert distance(back, blur(x)) < 1e-14


def test_equal_sigmas_are_a_gaussian_blur():
    x = draw((3, 10, 12), 6)
    assert distance(VaryingBlur(torch.full((10, 12), 1.3))(x), GaussianBlur(1.3, cutoff=0)(x)) < 1e-6  # 1.3 in float32


def test_at_its_levels_varying_blur_is_exact_and_between_them_second_order():
    length, low, high = 41, 1.0, 2.0
    sigmas = torch.linspace(low, high, length, dtype=torch.float64)
    x = draw((length,), 7)
    exact = torch.stack([GaussianBlur(float(s), cutoff=0)(x)[:, i] for i, s in enumerate(sigmas)], dim=1)
    errors = {}
    for levels in (3, 6, 11, 21):
        error = (VaryingBlur(sigmas, levels=levels)(x) - exact).abs()
        every = (length - 1) // (levels - 1)
        if every * (levels - 1) == length - 1:  # these places lie on a level
            assert float(error[:, ::every].max()) < 1e-12
        errors[levels] = float(error.square().mean().sqrt())
    # twice as many levels, a fourth of the error; less exact as Gaussians are cut at a whole number of pixels
    assert 3 < errors[3] / errors[6] * (5 / 2) ** -2 * 4 < 5.5
    assert errors[11] < errors[6] / 2.5
    assert errors[11] < 0.01


def test_varying_blur_differs_along_a_picture():
    sigmas = torch.zeros(8, 20)
    sigmas[:, 10:] = 2.0
    x = draw((1, 8, 20), 8)
    seen = VaryingBlur(sigmas)(x)
    assert distance(seen[..., :10], x[..., :10]) < 1e-14
    assert distance(seen[..., 10:], GaussianBlur(2.0, cutoff=0)(x)[..., 10:]) < 1e-14


def test_pinv_of_a_strong_blur_explains_what_was_seen():
    # The exact A+ is out of reach here: the condition number is 2e4. After k products conjugate gradients leave at most
    # |x| max s |p(s^2)| of y = A x, with the best polynomial p of degree k and p(0) = 1: |x| / (2 k + 1), by
    # Chebyshev's polynomials.
    blur = Blur(gaussian_kernel(1.0)).on((1, 16, 15))
    x = draw((1, 16, 15), 9)
    seen = blur(x)
    residual = (blur(blur.pinv(seen)) - seen).flatten(1).norm(dim=1)
    assert bool((residual < x.flatten(1).norm(dim=1) / (2 * MAX_ITERATIONS + 1)).all())
    mild = VaryingBlur(torch.linspace(0.2, 0.6, 15)[None].expand(16, 15)).on((1, 16, 15))
    matrix = np.linalg.pinv(dense(mild))
    assert distance(mild.pinv(seen), times(matrix, seen, (1, 16, 15))) < 1e-10
