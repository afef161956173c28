"""The window against slices, and rounding against the law of its error."""

from __future__ import annotations

import pytest
import torch
from dense import draw

from pellucid.foundations.errors import UserError
from pellucid.operators import Crop, Quantise


def test_a_window_is_a_slice():
    x = draw((3, 7, 9), 0)
    assert torch.equal(Crop((1, 2), (4, 5))(x), x[:, :, 1:5, 2:7])
    assert torch.equal(Crop((3,), (2,))(x), x[..., 3:5])
    assert torch.equal(Crop((0, 0), (7, 9))(x), x)


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_the_error_of_rounding_has_the_noise_it_offers(levels):
    seen = Quantise(levels)
    x = 2 * torch.rand(1, 200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1
    y = seen.observe(x)
    assert len(y.unique()) == levels
    assert torch.equal(seen.observe(y), y)
    error = y - x
    assert float(error.abs().max()) <= seen.step / 2 * (1 + 1e-9)
    # even over one step but for the half steps at both ends, which are alike; the variance of a square's mean over
    # 200,000 draws gives a relative standard deviation of 0.2 %
    assert float(error.std()) == pytest.approx(seen.noise, rel=0.01)
    assert torch.equal(seen(x), x)  # the operator itself does not round


def test_eight_bits_are_those_of_a_picture():
    picture = torch.arange(256.0, dtype=torch.float64)[None] / 127.5 - 1
    assert float((Quantise().observe(picture) - picture).abs().max()) < 1e-12


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: Crop((0, 0), (4,)), "one start for each length"),
        (lambda: Crop((), ()), "one start for each length"),
        (lambda: Crop((-1,), (4,)), "starts at 0"),
        (lambda: Crop((0,), (0,)), "not empty"),
        (lambda: Crop((4, 4), (5, 5)).on((3, 8, 9)), r"\(4, 4\) to \(9, 9\).*\(3, 8, 9\)"),
        (lambda: Crop((0, 0), (5, 5)).on((8,)), r"items of shape \(8,\)"),
        (lambda: Quantise(1), "at least 2 levels"),
        (lambda: Quantise(4, low=1.0), "range"),
    ],
)
def test_mistakes_are_explained(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()
