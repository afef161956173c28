"""The real transforms against scipy's cosine transform and numpy's Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch
from dense import distance, draw

from pellucid.operators.spectral import cosine, cosine_inverse, hartley, mirrored, spectrum_of

LENGTHS = [1, 2, 3, 4, 5, 8, 9, 30, 31]


@pytest.mark.parametrize("n", LENGTHS)
def test_cosine_is_scipys(n):
    x = draw((2, n + 1, n), n)
    expected = torch.from_numpy(scipy.fft.dctn(x.numpy(), type=2, norm="ortho", axes=(-2, -1)))
    assert distance(cosine(x, 2), expected) < 1e-14
    assert distance(cosine_inverse(cosine(x, 2), 2), x) < 1e-14
    assert distance(cosine(cosine_inverse(x, 1), 1), x) < 1e-14


@pytest.mark.parametrize("n", LENGTHS)
def test_hartley_is_its_own_inverse_and_holds_the_fourier_transform(n):
    x = draw((2, n, n + 1), n)
    spectrum = np.fft.fftn(x.numpy(), axes=(-2, -1), norm="ortho")
    c = hartley(x, 2)
    assert distance(c, torch.from_numpy(spectrum.real - spectrum.imag)) < 1e-14
    assert distance(hartley(c, 2), x) < 1e-14
    assert np.abs(spectrum_of(c, 2).numpy() - spectrum).max() < 1e-14 * (n + 2)
    assert distance(mirrored(c, 2), hartley(mirrored(x, 2), 2)) < 1e-13


def test_float32_is_as_exact_as_its_type():
    x = draw((64, 48), 0, dtype=torch.float32)
    for forward, back in ((cosine, cosine_inverse), (hartley, hartley)):
        assert forward(x, 2).dtype == torch.float32
        assert distance(back(forward(x, 2), 2), x) < 1e-6
