"""Guidance of symbols against the tilted law written out."""

from __future__ import annotations

import math

import torch

from pellucid.guidance.logits import GuidedLogits
from pellucid.processes.categorical import absorbing


class TwoLaws:
    """Logits by the label alone; symbol 1 is impossible under label 0, and the mask always."""

    process = absorbing(4)
    logits = torch.tensor([[1.0, -math.inf, 0.3, -math.inf], [-0.5, 2.0, 0.1, -math.inf]], dtype=torch.float64)

    def __call__(self, x, t, *, label):
        return self.logits[label][:, None].expand(*x.shape, 4) + 7.0  # a common number says nothing


def guided(scale: float) -> torch.Tensor:
    x, t = torch.full((2, 3), 3), torch.tensor(0.5)
    return GuidedLogits(TwoLaws(), scale, {"label": torch.tensor(0)})(x, t, label=torch.tensor([1, 1]))


def test_at_one_it_is_the_conditional_law_and_at_zero_the_other():
    laws = TwoLaws.logits.softmax(-1)
    torch.testing.assert_close(guided(1.0).softmax(-1)[0, 0], laws[1], rtol=1e-12, atol=0)
    other = guided(0.0).softmax(-1)[0, 0]
    torch.testing.assert_close(other, laws[0], rtol=1e-12, atol=0)


def test_beyond_one_it_is_the_tilted_law_where_both_laws_allow_a_symbol():
    laws = TwoLaws.logits.softmax(-1)
    tilted = torch.where(laws[0] > 0, laws[1] ** 3 * laws[0].clamp_min(1e-300) ** -2, 0.0)
    found = guided(3.0)
    assert not found.isnan().any()
    torch.testing.assert_close(found.softmax(-1)[1, 2], tilted / tilted.sum(), rtol=1e-10, atol=0)
