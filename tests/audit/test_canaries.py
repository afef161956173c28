"""What is told of canaries where it is known which of them a model knows."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.audit.canaries import Canaries, copies_of


def test_exposure_is_that_of_the_rank_by_hand() -> None:
    twins = torch.arange(100, dtype=torch.float64)
    found = Canaries(torch.tensor([1, 100]), torch.tensor([50.5, 200.0]).double(), twins, torch.tensor([0, 3]))
    # 49 twins are above 50.5, so it is the 50th of 101; above all twins it is the first.
    assert found.exposures.tolist() == pytest.approx([math.log2(101) - math.log2(50), math.log2(101)])
    assert [(count, told.value, out.value) for count, told, out in found.rows()] == [(1, 0.0, 0.0), (100, 1.0, 1.0)]


def test_exposure_without_memory_is_one_over_log_two() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(20_000, generator=generator, dtype=torch.float64)
    twins = torch.randn(1000, generator=generator, dtype=torch.float64)
    found = Canaries(torch.ones(20_000), scores, twins, torch.zeros(20_000))
    # -log2 of a uniform number has the mean 1/log 2 and as large a deviation: 0.01 of 20,000, and 0.05 of 1,000 twins.
    assert float(found.exposures.mean()) == pytest.approx(1 / math.log(2), abs=0.15)
    assert float((scores > found.cut).double().mean()) == pytest.approx(0.01, abs=0.01)  # of 1,000 twins: 0.3 points


def test_copies_are_counted_at_all_places_of_a_canary() -> None:
    places = [torch.tensor([3]), torch.tensor([5, 6, 7])]
    assert copies_of(torch.tensor([6, 1, 5, 5]), places).tolist() == [0, 3]
