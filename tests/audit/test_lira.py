"""The likelihood ratio where its laws are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid.audit.lira import lira
from pellucid.audit.roc import curve
from pellucid.data.halves import inclusions
from pellucid.foundations.errors import UserError


def halves(num_shadows: int, num_items: int, seed: int) -> Tensor:
    """Which of so many items each model is trained on."""
    hashes = np.random.default_rng(seed).integers(0, 2**63, num_items, dtype=np.uint64)
    return torch.from_numpy(inclusions(num_shadows, hashes))


def shadowed(num_shadows: int, num_items: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Errors of a model and of its shadows: each item has its own mean of deviation 3, and 1.5 less where seen."""
    generator = torch.Generator().manual_seed(seed)
    included = halves(num_shadows + 2, num_items, seed)
    own = 3 * torch.randn(num_items, generator=generator, dtype=torch.float64)
    noise = torch.randn(num_shadows + 2, num_items, generator=generator, dtype=torch.float64)
    errors = own + noise - 1.5 * included
    return errors, included, own


def test_the_ratio_finds_what_the_plain_error_hides() -> None:
    errors, included, _ = shadowed(32, 4000, 0)
    member = included[0]
    plain = curve("plain", -errors[0][member], -errors[0][~member]).auc.value
    scores = lira(errors[0], errors[1:], included[1:])
    ratio = curve("ratio", scores[member], scores[~member]).auc.value
    # With the laws known: P(N(1.5, 2) > 0) = 0.856 for the ratio, P(N(1.5, 2 (1 + 9)) > 0) = 0.631 for the plain error.
    # The area of 2,000 of each is known to 0.006; means of 16 shadows cost the ratio about a hundredth.
    assert plain == pytest.approx(0.631, abs=0.02)
    assert 0.83 < ratio < 0.87


def test_equal_laws_have_the_ratio_of_the_closed_form() -> None:
    # Errors 0, 2 inside and 4, 6 outside: means 1 and 5, and one common variance of 2 for each side.
    errors = torch.tensor([[0.0], [2.0], [4.0], [6.0]])
    included = torch.tensor([[True], [True], [False], [False]])
    score = lira(torch.tensor([2.0]), errors, included)
    torch.testing.assert_close(score, torch.tensor([(9 - 1) / (2 * 2)], dtype=torch.float64))


def test_every_item_is_in_half_of_the_shadow_models() -> None:
    found = halves(8, 500, 3)
    assert found.sum(0).tolist() == [4] * 500
    # Each model has about half of the items: deviation sqrt(500)/2 = 11; four of them.
    assert (found.sum(1) - 250).abs().max() < 45


def test_items_that_no_shadow_left_out_are_refused() -> None:
    with pytest.raises(UserError, match="2 items were in all shadow models"):
        lira(torch.zeros(2), torch.zeros(3, 2), torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(UserError, match="even number"):
        halves(3, 10, 0)
