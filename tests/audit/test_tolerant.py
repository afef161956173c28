"""Shifts and mirrors that were made on purpose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pellucid.audit.tolerant import shifted
from pellucid.foundations.errors import UserError


def pictures(num: int, seed: int) -> Tensor:
    """Random smooth pictures."""
    coarse = torch.randn(num, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(20, 20), mode="bicubic")


@pytest.mark.parametrize("mirror", [False, True])
def test_a_shifted_picture_is_found_at_distance_zero(mirror: bool) -> None:
    y = pictures(60, 0)
    x = torch.roll(y[17:29], shifts=(1, -2), dims=(2, 3))
    x = x.flip(-1) if mirror else x
    found = shifted(x, y, 3)
    assert found.indices[:, 0].tolist() == list(range(17, 29))
    # The inside is the same pixels, so nothing is rounded.
    assert found.distances[:, 0].max() == 0
    assert all(len(set(row)) == 3 for row in found.indices.tolist())


def test_distances_are_those_of_all_shifts_by_hand() -> None:
    x, y = pictures(4, 1), pictures(9, 2)
    expected = torch.full((4, 9), torch.inf, dtype=torch.float64)
    for picture in (x, x.flip(-1)):
        for down in range(-2, 3):
            for right in range(-2, 3):
                moved = torch.roll(picture, shifts=(down, right), dims=(2, 3))[..., 2:-2, 2:-2].double()
                d = (moved[:, None] - y[None, :, :, 2:-2, 2:-2].double()).flatten(2).square().sum(2).sqrt()
                expected = torch.minimum(expected, d)
    found = shifted(x, y, 9)
    torch.testing.assert_close(found.distances, expected.sort(dim=1).values, rtol=1e-5, atol=1e-6)  # float32 sums


def test_signals_are_refused() -> None:
    with pytest.raises(UserError, match="pictures"):
        shifted(torch.zeros(3, 1, 20), torch.zeros(3, 1, 20), 1)
