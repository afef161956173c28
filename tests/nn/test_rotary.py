"""Rotary positions: rotations, and what a product of two of them depends on."""

from __future__ import annotations

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.nn.rotary import rotate, rotations


def turned(grid: tuple[int, ...], vector: torch.Tensor) -> torch.Tensor:
    """The same vector at every place of a grid, turned: (*grid, channels)."""
    rotation = rotations(grid, len(vector)).double()
    places = rotation.shape[1]
    return rotate(vector.expand(1, 1, places, -1), rotation)[0, 0].reshape(*grid, -1)


@pytest.mark.parametrize("channels", [2, 8, 10])
def test_products_depend_on_the_distance_alone(channels):
    q, k = torch.randn(2, channels, dtype=torch.float64)
    at, to = turned((20,), q), turned((20,), k)
    products = at @ to.T
    for shift in range(-9, 10):
        along = products.diagonal(shift)
        # Angles are float32: 20 places are off by some 1e-6.
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=0, atol=1e-5 * channels)
    assert products.diagonal(1)[0] != products.diagonal(0)[0]


def test_on_a_grid_products_depend_on_both_distances():
    q, k = torch.randn(2, 12, dtype=torch.float64)
    at, to = turned((5, 7), q), turned((5, 7), k)
    product = torch.einsum("ijc,klc->ijkl", at, to)
    for rows, columns in ((0, 0), (1, 2), (-2, 3)):
        found = [
            product[i, j, i + rows, j + columns]
            for i in range(5)
            for j in range(7)
            if 0 <= i + rows < 5 and 0 <= j + columns < 7
        ]
        torch.testing.assert_close(torch.stack(found), found[0].expand(len(found)), rtol=0, atol=1e-4)
    assert product[0, 0, 1, 0] != product[0, 0, 0, 1]


def test_lengths_are_kept_and_the_first_place_stands_still():
    q = torch.randn(16, dtype=torch.float64)
    found = turned((50,), q)
    torch.testing.assert_close(found.norm(dim=-1), q.norm().expand(50), rtol=1e-6, atol=0)
    assert torch.equal(found[0], q)


def test_odd_heads_are_refused():
    with pytest.raises(UserError, match="even"):
        rotations((4,), 5)
