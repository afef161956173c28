"""Near-duplicates that were put in on purpose, and clumps of samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid.audit.duplicates import find_duplicates
from pellucid.audit.extraction import extract
from pellucid.foundations.errors import UserError


def normal(num: int, seed: int, dim: int = 12) -> Tensor:
    return torch.randn(num, dim, generator=torch.Generator().manual_seed(seed))


def test_planted_groups_are_found_and_no_others() -> None:
    x = normal(300, 0)
    near = x[7] + 0.02 * normal(3, 1)
    whole = torch.cat([x, near, x[20:22]])
    found = find_duplicates(whole)
    assert found.groups == ((7, 300, 301, 302), (20, 303), (21, 304))
    assert found.repeats[[7, 302, 20, 0]].tolist() == [4, 4, 2, 1]
    assert found.kept.tolist() == list(range(300))


def test_many_equal_items_do_not_hide_one_another() -> None:
    x = normal(200, 0)
    whole = torch.cat([x, x[3].expand(150, 12)])
    found = find_duplicates(whole)
    assert len(found.groups) == 1
    assert found.groups[0] == (3, *range(200, 350))


def test_many_items_that_are_nearly_one_are_found_and_a_dense_part_is_none() -> None:
    # Sixty of one item, so that all neighbours of each are repeats; and sixty that lie closer together than others do.
    x = normal(400, 0)
    whole = torch.cat([x, x[5] + 0.01 * normal(60, 1), 8 + 0.4 * normal(60, 2)])
    found = find_duplicates(whole)
    assert found.groups[0] == (5, *range(400, 460))
    assert found.repeats[460:].max() == 1


@pytest.mark.parametrize("dim", [2, 6, 30])
def test_new_items_are_repeats_as_rarely_as_stated(dim: int) -> None:
    centres = 4 * normal(12, 9, dim)
    pick = torch.randint(12, (3000,), generator=torch.Generator().manual_seed(1))
    found = find_duplicates(centres[pick] + normal(3000, 2, dim))
    # One in a thousand of a law of one density; in clusters, whose middles are denser than their rims, some more.
    assert (found.repeats > 1).mean() < 0.005


def test_the_order_of_items_changes_only_their_names() -> None:
    x = torch.cat([normal(100, 0), normal(100, 0)[:9]])
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    found, shuffled = find_duplicates(x), find_duplicates(x[order])
    assert np.array_equal(found.repeats[order.numpy()], shuffled.repeats)


@pytest.mark.parametrize("ratio", [0.0, 1.0, -1.0])
def test_ratios_that_mean_nothing_are_refused(ratio: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        find_duplicates(normal(10, 0), ratio=ratio)


def test_clumps_around_training_items_are_extracted_and_others_are_not() -> None:
    train, held, new = normal(400, 0), normal(300, 1), normal(500, 2)
    memorised = train[[11, 23]].repeat_interleave(8, 0) + 0.02 * normal(16, 3)
    invented = normal(1, 4).expand(7, 12) + 0.02 * normal(7, 5)  # a mode that collapsed, on no training item
    found = extract(torch.cat([new, memorised, invented]), train, held)
    assert [(candidate.train, candidate.extracted) for candidate in found if candidate.extracted] in (
        [(11, True), (23, True)],
        [(23, True), (11, True)],
    )
    assert sorted(len(candidate.samples) for candidate in found) == [7, 8, 8]
    assert [candidate.extracted for candidate in found].count(False) == 1
