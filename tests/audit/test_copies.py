"""The search for copies against laws where the truth is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pellucid.audit.copies import find_copies
from pellucid.audit.search import neighbours, neighbours_within
from pellucid.foundations.errors import UserError


def mixture(num: int, seed: int, dim: int = 6) -> Tensor:
    """Exact draws of a mixture of eight normal laws."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(8, dim, generator=torch.Generator().manual_seed(99))
    pick = torch.randint(8, (num,), generator=generator)
    return centres[pick] + torch.randn(num, dim, generator=generator)


@pytest.mark.parametrize("apart", [False, True])
def test_neighbours_are_those_of_all_distances_in_float64(apart: bool) -> None:
    y = mixture(300, 0)
    x = y if apart else mixture(70, 1)
    all_pairs = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")
    if apart:
        all_pairs.fill_diagonal_(math.inf)
    expected = all_pairs.topk(5, largest=False)
    found = neighbours(x, y, 5, apart=apart)
    assert torch.equal(found.indices, expected.indices)
    # Differences of float32 numbers are rounded once, to 6e-8 of each.
    torch.testing.assert_close(found.distances, expected.values, rtol=1e-6, atol=0)


def test_principal_axes_lose_hardly_a_neighbour() -> None:
    # Items of eight directions and a little noise in ninety: the sixteen greatest axes hold the eight.
    generator = torch.Generator().manual_seed(0)
    x = mixture(2000, 0, dim=8) @ torch.randn(8, 90, generator=generator) + 0.1 * torch.randn(
        2000, 90, generator=generator
    )
    exact, found = neighbours_within(x, 5), neighbours_within(x, 5, most=500, axes=16)
    assert (found.indices == exact.indices).double().mean() > 0.99
    near = torch.cat([x, x[:40] + 1e-3])
    again = neighbours_within(near, 5, most=500, axes=16)
    assert again.indices[2000:, 0].tolist() == list(range(40))


def test_a_copy_is_at_distance_zero_exactly() -> None:
    y = 1000 + mixture(200, 0)  # far from the origin, where the expanded square loses its digits
    assert neighbours(y[:50].clone(), y, 1).distances.max() == 0


def test_false_alarms_of_new_items_keep_their_rate() -> None:
    level, repeats, flagged, nearer = 0.05, 60, 0, 0
    for seed in range(repeats):
        train, held, new = mixture(200, 3 * seed), mixture(99, 3 * seed + 1), mixture(50, 3 * seed + 2)
        found = find_copies(new, train, held, level=level, seed=seed)
        flagged += len(found.flagged)
        nearer += round(found.nearer.value * 50)
    # 60 independent repeats of a rate of 0.05: within one, the true rate at the cut is Beta(5, 95), of deviation 0.022,
    # and 50 items add 0.031, so the mean of 60 has the deviation 0.0049; three of them.
    assert flagged / (50 * repeats) == pytest.approx(level, abs=0.015)
    # The side is a fair coin, but items near one another share neighbours: measured against 0.5 with twice the error
    # of independent coins, 0.009.
    assert nearer / (50 * repeats) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(50 * repeats))


def test_copies_are_all_found_and_named() -> None:
    train, held, new = mixture(500, 0), mixture(300, 1), mixture(80, 2)
    copies = train[37:57] + 0.01 * torch.randn(20, 6, generator=torch.Generator().manual_seed(5))
    found = find_copies(torch.cat([new, copies]), train, held)
    assert set(range(80, 100)) <= set(found.flagged.tolist())
    assert found.nearest[80:].tolist() == list(range(37, 57))
    assert found.found
    # Besides them the level allows 1 % of 80; four times as many would have a chance of 1e-2 or less.
    assert len(found.flagged) <= 24


def test_the_perfect_memoriser_is_all_copies() -> None:
    train, held = mixture(150, 0), mixture(150, 1)
    found = find_copies(train[torch.arange(200) % 150], train, held)
    assert found.rate.value == 1.0
    assert found.nearer.value > 0.99


def test_blurred_items_are_nearer_to_neither_side() -> None:
    # Means of four new items lie in the middle of the data, near to everything: no copies, on either look.
    train, held = mixture(400, 0), mixture(400, 1)
    blurred = mixture(1200, 2).reshape(300, 4, 6).mean(1)
    found = find_copies(blurred, train, held)
    assert not found.found
    assert found.nearer.low is not None
    assert found.nearer.low < 0.5


def test_samples_that_crowd_for_reasons_of_their_own_are_told_by_the_control() -> None:
    # Real items lie on a line with a gap between neighbours; these sit on it, hair by hair beside whatever is there.
    train, held = mixture(300, 0), mixture(300, 1)
    near = torch.cat([train, held])[torch.arange(0, 600, 3)]
    crowd = near + 0.01 * torch.randn(near.shape, generator=torch.Generator().manual_seed(5))
    found = find_copies(crowd, train, held)
    # A third of the items of both sides are copied: as many are flagged among the held-out ones.
    assert found.control is not None
    assert found.control.value > 0.4
    assert found.crowded
    assert not found.found


def test_distances_that_are_equal_are_nearer_to_neither_side() -> None:
    # Of points on a coarse grid most have a neighbour at distance 0 on both sides.
    train, held, new = (mixture(num, seed, dim=2).div(3).round() for num, seed in ((400, 0), (400, 1), (300, 2)))
    found = find_copies(new, train, held)
    assert found.nearer.value == pytest.approx(0.5, abs=0.1)


def test_a_few_copies_are_seen_beyond_the_strict_cut() -> None:
    train, held, new = mixture(1000, 0), mixture(999, 1), mixture(1000, 2)
    found = find_copies(torch.cat([new, train[:14] + 0.01]), train, held)
    assert found.seen < 0.015  # one cut of 1 % alone would see 3.1 %
    assert found.found


def test_too_few_held_out_items_for_a_rate_are_refused() -> None:
    with pytest.raises(UserError, match="at least 99 held-out items, got 50"):
        find_copies(mixture(20, 0), mixture(100, 1), mixture(50, 2))
