"""The wavelet transform's own laws, and sparsity against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from restore_cases import F64, normal, run

from pellucid.foundations.errors import UserError
from pellucid.operators import Identity, Matrix
from pellucid.restorers import Observation, Wavelet
from pellucid.restorers.wavelet import _details, daubechies, inverse, transform

FINE = {"iterations": 5000, "tolerance": 1e-10}


@pytest.mark.parametrize("moments", range(1, 11))
def test_the_filters_are_orthonormal_and_blind_to_polynomials(moments):
    low = daubechies(moments)
    assert len(low) == 2 * moments
    # Round-off in the roots of a polynomial of degree 9 costs some digits.
    for shift in range(moments):
        assert np.dot(low[2 * shift :], low[: len(low) - 2 * shift]) == pytest.approx(float(shift == 0), abs=1e-7)
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    places = np.linspace(-1, 1, len(low))
    for power in range(moments):
        assert np.dot(high, places**power) == pytest.approx(0, abs=1e-7)


def test_the_filter_of_four_taps_is_daubechies_own():
    root = math.sqrt(3)
    expected = np.array([1 + root, 3 + root, 3 - root, 1 - root]) / (4 * math.sqrt(2))
    found = daubechies(2)
    assert min(np.abs(found - expected).max(), np.abs(found - expected[::-1]).max()) < 1e-12


@pytest.mark.parametrize(
    ("shape", "axes"), [((16,), (-1,)), ((2, 13), (-1,)), ((3, 8, 12), (-2, -1)), ((1, 7, 9), (-2, -1))]
)
@pytest.mark.parametrize("moments", [1, 2, 4])
def test_the_transform_is_orthonormal_on_any_size(shape, axes, moments):
    x, c = normal(2, *shape), normal(2, *shape, seed=1)
    forward = transform(x, axes, 3, moments)
    torch.testing.assert_close(inverse(forward, axes, 3, moments), x, rtol=0, atol=1e-10)
    torch.testing.assert_close((forward * c).sum(), (x * inverse(c, axes, 3, moments)).sum(), rtol=0, atol=1e-9)


def test_haars_transform_is_averages_and_differences():
    x = torch.tensor([[1.0, 3.0, 5.0, 5.0]], dtype=F64)
    root = math.sqrt(2)
    expected = torch.tensor([[4 / root, 10 / root, -2 / root, 0.0]], dtype=F64)
    torch.testing.assert_close(transform(x, (-1,), 1, 1), expected, rtol=0, atol=1e-12)
    deeper = torch.tensor([[7.0, -3.0, -2 / root, 0.0]], dtype=F64)
    torch.testing.assert_close(transform(x, (-1,), 2, 1), deeper, rtol=0, atol=1e-12)


def test_a_smooth_picture_has_no_details():
    """A polynomial of degree 1 along both axes, away from the border where the picture wraps."""
    ramp = torch.arange(32, dtype=F64)
    c = transform((ramp[:, None] - 2 * ramp)[None, None], (-2, -1), 1, 2)
    assert c[0, 0, 16:31, :15].abs().max() < 1e-9
    assert c[0, 0, :15, 16:31].abs().max() < 1e-9


@pytest.mark.parametrize("shape", [(16,), (1, 8, 8), (2, 16)])
def test_with_the_identity_details_are_cut_by_the_weight(shape):
    weight, y = 0.3, normal(2, *shape)
    x = run(Wavelet(weight=weight, moments=2, levels=1, shifts=1, **FINE), None, Observation(Identity().on(shape), y))
    axes = tuple(range(-max(1, len(shape) - 1), 0))
    c, detail = transform(y, axes, 1, 2), _details(shape, axes, 1).bool()
    cut = torch.where(detail, c.sign() * (c.abs() - weight).clamp_min(0), c)
    torch.testing.assert_close(x, inverse(cut, axes, 1, 2), rtol=0, atol=1e-7)
    assert detail.sum() == detail.numel() - detail.numel() // 2 ** len(axes)


def test_the_noise_chooses_the_weight():
    """The cut whose change has the size of the noise, found by bisection on the closed form."""
    y, noise = normal(1, 32), 0.2
    c, detail = transform(y, (-1,), 2, 1), _details((32,), (-1,), 2).bool()
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        change = c.abs().clamp_max(middle)[:, detail].square().sum()
        low, high = (middle, high) if change < 32 * noise**2 else (low, middle)
    cut = torch.where(detail, c.sign() * (c.abs() - low).clamp_min(0), c)
    method = Wavelet(moments=1, levels=2, shifts=1, **FINE)
    x = run(method, None, Observation(Identity().on((32,)), y, noise))
    torch.testing.assert_close(x, inverse(cut, (-1,), 2, 1), rtol=0, atol=1e-5)


def test_shifted_copies_treat_all_places_alike():
    """With as many shifts as a period of the transform, a shifted picture is restored to the shifted result."""
    y = normal(1, 16)
    method = Wavelet(weight=0.4, moments=1, levels=2, shifts=4, **FINE)
    one, two = (run(method, None, Observation(Identity().on((16,)), each)) for each in (y, y.roll(1, 1)))
    torch.testing.assert_close(one.roll(1, 1), two, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shifts", [1, 3])
def test_shifted_copies_share_one_weight(shifts):
    """At a minimiser <y - x, x> = weight R(x), with R the mean over copies of the sum of their details."""
    weight, y = 0.3, normal(1, 16)
    method = Wavelet(weight=weight, moments=2, levels=2, shifts=shifts, **FINE)
    x = run(method, None, Observation(Identity().on((16,)), y))
    detail = _details((16,), (-1,), 2).bool()
    copies = [transform(x.roll(i, 1), (-1,), 2, 2)[:, detail].abs().sum() for i in range(shifts)]
    torch.testing.assert_close(((y - x) * x).sum(), weight * torch.stack(copies).mean(), rtol=1e-5, atol=0)


def test_a_matrix_in_between_satisfies_the_optimality_conditions():
    weight = 0.2
    matrix = torch.eye(16, dtype=F64) + 0.3 * normal(16, 16, seed=2)
    y = normal(1, 16, seed=3)
    x = run(
        Wavelet(weight=weight, moments=2, levels=1, shifts=1, **FINE), None, Observation(Matrix(matrix).on((16,)), y)
    )
    force = transform((y - x @ matrix.T) @ matrix, (-1,), 1, 2)
    c, detail = transform(x, (-1,), 1, 2), _details((16,), (-1,), 1).bool()
    assert force[:, ~detail].abs().max() < 1e-6
    assert force.abs().max() < weight + 1e-6
    active = detail & (c.abs() > 1e-5)
    torch.testing.assert_close(force[active], weight * c.sign()[active], rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"moments": 0}, {"levels": 0}, {"shifts": 0}, {"iterations": 0}])
def test_bad_options(options):
    with pytest.raises(UserError, match=r"positive|moments|iterations"):
        Wavelet(**options)
