"""Clumps of samples where it is known what is repeated."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.audit.extraction import extract


def mixture(num: int, seed: int) -> Tensor:
    """Exact draws of a mixture of eight normal laws."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(8, 6, generator=torch.Generator().manual_seed(99))
    return centres[torch.randint(8, (num,), generator=generator)] + torch.randn(num, 6, generator=generator)


def test_what_comes_out_again_and_again_is_extracted() -> None:
    train, held, new = mixture(300, 0), mixture(199, 1), mixture(150, 2)
    noise = 0.02 * torch.randn(21, 6, generator=torch.Generator().manual_seed(3))
    found = extract(torch.cat([new, train[[11] * 12 + [40] * 9] + noise]), train, held)
    confirmed = [each for each in found if each.extracted]
    assert {(each.train, len(each.samples)) for each in confirmed} == {(11, 12), (40, 9)}
    assert set(confirmed[0].samples) in (set(range(150, 162)), set(range(162, 171)))


def test_a_model_that_knows_nothing_else_gives_every_item_away() -> None:
    # All samples are repeats, so they have no scale of their own: that of held-out items must do.
    train, held = mixture(40, 0), mixture(199, 1)
    made = train.repeat(6, 1) + 0.02 * torch.randn(240, 6, generator=torch.Generator().manual_seed(3))
    found = extract(made, train, held)
    assert {each.train for each in found if each.extracted} == set(range(40))


def test_a_clump_of_what_nobody_was_trained_on_is_no_extraction() -> None:
    train, held, new = mixture(300, 0), mixture(199, 1), mixture(150, 2)
    clump = mixture(1, 7) + 0.02 * torch.randn(12, 6, generator=torch.Generator().manual_seed(3))
    found = extract(torch.cat([new, clump]), train, held)
    clumps = [each for each in found if len(each.samples) >= 12]
    assert len(clumps) == 1
    assert not clumps[0].extracted
