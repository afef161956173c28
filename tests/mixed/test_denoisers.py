"""A network on rows as a denoiser: numbers through a target, categories through their alphabets and the mask."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pellucid.denoisers import TARGETS, NetworkDenoiser
from pellucid.foundations.errors import UserError
from pellucid.losses import denoising_loss
from pellucid.mixed.denoisers import MixedDenoiser
from pellucid.processes.categorical import absorbing
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.product import Field, Product
from pellucid.processes.schedules import VP

PROCESS = Product((Field("numbers", Gaussian(VP()), 3), Field("categories", absorbing(6), 2)))
SIZES = (5, 2)


class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.logits = nn.Parameter(torch.arange(12.0).reshape(2, 6) / 10)

    def forward(self, numbers, symbols, c, shift=0.0):
        output = self.scale * numbers * c[:, None] + shift
        return output, self.logits.expand(len(symbols), -1, -1)


class Numbers(nn.Module):
    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def forward(self, x, c, shift=0.0):
        return self.rows(x, torch.zeros(len(x), 2), c, shift)[0]


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "mu"])
def test_numbers_are_those_of_a_denoiser_of_numbers(name):
    rows = Rows()
    x = torch.cat(
        [torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([[5, 5]] * 4)], 1
    ).double()
    joint = MixedDenoiser(rows, PROCESS, TARGETS[name](), SIZES)
    plain = NetworkDenoiser(Numbers(rows), PROCESS.fields[0].process, TARGETS[name]())
    for t in (torch.tensor(0.4, dtype=torch.float64), torch.linspace(0.1, 0.9, 4)):
        found = PROCESS.answers(joint(x, t, shift=0.3))[0]
        expected = plain(x[:, :3].float(), t, shift=0.3)
        # Float32 with sums in another order.
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=2e-5)


def test_categories_keep_to_their_alphabets_and_to_what_is_known():
    rows = Rows()
    joint = MixedDenoiser(rows, PROCESS, TARGETS["x0"](), SIZES)
    x = torch.tensor([[0.0, 0, 0, 5, 5], [0.0, 0, 0, 3, 5]], dtype=torch.float64)
    law = PROCESS.answers(joint(x, torch.tensor(0.5)))[1].softmax(-1)
    for column, size in enumerate(SIZES):
        expected = rows.logits[column, :size].softmax(-1)
        torch.testing.assert_close(law[0, column, :size], expected)
        assert law[0, column, size:].sum() == 0
    assert law[1, 0].tolist() == [0, 0, 0, 1, 0, 0]


def test_one_loss_serves_and_learns():
    joint = MixedDenoiser(Rows(), PROCESS, TARGETS["x0"](), SIZES)
    x0 = PROCESS.pack([torch.randn(4, 3), torch.tensor([[0, 1], [4, 0], [2, 1], [1, 1]])])
    noise = torch.cat([torch.randn(4, 3), torch.full((4, 2), 0.95)], 1).double()
    losses = denoising_loss(joint, x0, torch.linspace(0.2, 0.8, 4), noise)
    losses.sum().backward()
    weights = PROCESS.losses(
        joint(PROCESS.corrupt(x0, torch.tensor(0.5), noise), torch.full((4,), 0.5)), x0, torch.full((4,), 0.5)
    )
    assert set(weights) == {"numbers", "categories"}
    slopes = joint.network.logits.grad
    # Cross-entropy's slopes sum to 0 over a column's own symbols, and there are none outside.
    assert slopes[1, 2:].abs().max() == 0
    torch.testing.assert_close(slopes.sum(1), torch.zeros(2), rtol=0, atol=1e-6)
    assert slopes[0, :5].abs().min() > 0
    assert joint.network.scale.grad.abs() > 0


def test_refusals():
    with pytest.raises(UserError, match="1 to 5 symbols"):
        MixedDenoiser(Rows(), PROCESS, TARGETS["x0"](), (6, 2))
    with pytest.raises(UserError, match="each of 2 columns"):
        MixedDenoiser(Rows(), PROCESS, TARGETS["x0"](), (5,))
    with pytest.raises(UserError, match="in this order"):
        MixedDenoiser(Rows(), Product(PROCESS.fields[::-1]), TARGETS["x0"](), SIZES)
