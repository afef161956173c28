"""Tomography against projections known in closed form, and against pixels cut into many points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from dense import dense, distance, draw, times

from pellucid.foundations.errors import UserError
from pellucid.operators import Tomography
from pellucid.operators.tomography import projection_matrix

ANGLES = (0.0, 1e-5, 17.0, 45.0, 60.0, 90.0, 133.3, 180.0, 270.0)


def places(height, width):
    """(down, right) of the pixels' centres against the picture's."""
    return torch.meshgrid(*(torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in (height, width)), indexing="ij")


def test_weights_are_the_areas_that_strips_and_pixels_share():
    # each pixel as 200 x 200 points: an edge of a strip crosses it over at most two rows of points
    fine, strips = 200, 8
    inside = (torch.arange(fine, dtype=torch.float64) + 0.5) / fine - 0.5
    y, x = places(3, 4)
    matrix = projection_matrix((3, 4), ANGLES, strips).to_dense().reshape(len(ANGLES), strips, 12)
    for a, angle in enumerate(ANGLES):
        turn = math.radians(angle)
        for pixel, (down, right) in enumerate(zip(y.flatten(), x.flatten(), strict=True)):
            s = math.cos(turn) * (right + inside) - math.sin(turn) * (down + inside)[:, None]
            counted = torch.histc(s + strips / 2, bins=strips, min=0, max=strips) / fine**2
            assert float((matrix[a, :, pixel] - counted).abs().max()) < 3 / fine


@pytest.mark.parametrize("shape", [(1, 12, 17), (2, 9, 9)])
def test_every_projection_holds_the_whole_picture(shape):
    op = Tomography(ANGLES).on(shape)
    x = draw(shape, 0)
    total = x.sum((-2, -1)) / max(shape[1:])
    assert torch.allclose(op(x).sum(-1), total[..., None].expand(3, shape[0], len(ANGLES)), atol=1e-12)


def test_quarter_turns_are_sums_of_columns_and_rows():
    x = draw((1, 7, 7), 1)
    seen = 7 * Tomography((0.0, 90.0, 180.0), 7)(x)
    assert distance(seen[:, 0, 0], x[:, 0].sum(-2)) < 1e-14
    assert distance(seen[:, 0, 1], x[:, 0].sum(-1).flip(-1)) < 1e-14  # up is the positive direction at 90 degrees
    assert distance(seen[:, 0, 2], x[:, 0].sum(-2).flip(-1)) < 1e-14


def test_turning_the_picture_turns_the_angles():
    x = draw((1, 8, 8), 2)
    degrees = (5.0, 30.0, 77.0)
    assert distance(Tomography(degrees)(x), Tomography([d + 90 for d in degrees])(torch.rot90(x, 1, (-2, -1)))) < 1e-13


@pytest.mark.parametrize(("down", "right", "sigma"), [(0.0, 0.0, 4.0), (5.5, -8.0, 2.5)])
def test_the_projection_of_a_gaussian_is_a_gaussian(down, right, sigma):
    size = 64
    y, x = places(size, size)
    picture = (-((y - down) ** 2 + (x - right) ** 2) / (2 * sigma**2)).exp()
    op = Tomography(ANGLES).on((1, size, size))
    seen = size * op(picture[None, None])[0, 0]
    turn = torch.tensor(ANGLES, dtype=torch.float64).deg2rad()[:, None]
    d = torch.arange(op.strips, dtype=torch.float64) - (op.strips - 1) / 2
    middle = right * turn.cos() - down * turn.sin()
    # A pixel's square and a strip's width each add 1/12 to the variance (Sheppard), on the mean over all places that a
    # strip may have against the pixels. At the angles where they lie alike for every pixel, that is not the mean: the
    # sum lies between g and g + g''/8 where the mean would be g + g''/12, and |g''| <= max g / sigma^2. At 17 and 60
    # degrees, far from such angles, what is left is of fourth order in 1 / sigma.
    variance = sigma**2 + 1 / 6
    expected = 2 * math.pi * sigma**2 * (-((d - middle) ** 2) / (2 * variance)).exp() / (2 * math.pi * variance) ** 0.5
    error = (seen - expected).abs().amax(1) / expected.max()
    assert float(error.max()) < 1 / (12 * sigma**2)
    assert float(error[[2, 4]].max()) < 2e-4


def test_the_projection_of_a_disc_is_half_an_ellipse():
    size, radius = 128, 40.3
    fine = 8  # the disc's border cuts pixels: each is the mean of 8 x 8 points
    y, x = places(size * fine, size * fine)
    picture = ((y / fine) ** 2 + (x / fine) ** 2 < radius**2).double().reshape(size, fine, size, fine).mean((1, 3))
    op = Tomography(10).on((1, size, size))
    seen = size * op(picture[None, None])[0, 0]
    d = torch.arange(op.strips, dtype=torch.float64) - (op.strips - 1) / 2
    chord = 2 * (radius**2 - d**2).clamp(min=0).sqrt()
    inner = d.abs() < radius - 3  # beyond, the chord bends within one pixel
    assert float((seen - chord)[:, inner].abs().max()) < 0.01 * 2 * radius
    assert float((seen - chord)[:, d.abs() > radius + 1.5].abs().max()) < 1e-12


def test_the_gradient_and_its_gradient_pass_through():
    op = Tomography(4).on((1, 6, 5))
    x, y = draw((1, 6, 5), 3).requires_grad_(), draw(op.out_shape, 4).requires_grad_()
    (back,) = torch.autograd.grad(op(x), x, y, create_graph=True)
    assert distance(back.detach(), op.adjoint(y.detach())) < 1e-15
    (again,) = torch.autograd.grad(back, y, x.detach())
    assert distance(again, op(x.detach())) < 1e-15


def test_pinv_of_a_full_scan_gives_the_picture_back():
    op = Tomography(24).on((2, 10, 9))
    x = draw((2, 10, 9), 5)
    expected = times(np.linalg.pinv(dense(op), rcond=1e-10), op(x), (2, 10, 9))
    assert distance(expected, x) < 1e-8  # the scan determines the picture
    assert distance(op.pinv(op(x)), x) < 1e-5  # conjugate gradients on a condition number of some hundreds


def test_mistakes_are_refused():
    for angles in (0, (), [0.0, float("nan")]):
        with pytest.raises(UserError, match="at least one angle"):
            Tomography(angles)
    with pytest.raises(UserError, match="at least one detector"):
        Tomography(3, 0)
    with pytest.raises(UserError, match="pictures"):
        Tomography(3).on((2, 9))
    with pytest.raises(UserError, match="fewer angles or smaller pictures"):
        Tomography(180).on((3, 512, 512))
