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


class Told(nn.Module):
    """Numbers from all that it is shown, and logits likewise."""

    def forward(self, numbers, symbols, c, known=None):
        seen = numbers.sum(1, keepdim=True) + 0.1 * symbols.sum(1, keepdim=True) + c[:, None]
        if known is not None:
            seen = seen + known.float() @ torch.arange(1.0, 6.0)[:, None]
        return seen + torch.arange(3.0), (seen[:, None] * torch.arange(6.0) / 5).expand(-1, 2, -1)


def test_a_missing_number_is_not_seen_and_is_a_normal_variable():
    schedule = PROCESS.fields[0].process.schedule
    joint = MixedDenoiser(Told(), PROCESS, TARGETS["edm"](), (5, 2), flags=[(1, 1)])
    plain = MixedDenoiser(Told(), PROCESS, TARGETS["edm"](), (5, 2))
    t = torch.tensor(0.4, dtype=torch.float64)
    x = torch.tensor([[0.3, value, -1.0, 5, flag] for flag in (0, 1, 5) for value in (0.7, -2.0)]).double()
    numbers, law = PROCESS.answers(joint(x, t))
    # Known to be missing: what stands there changes nothing but its own mean, which is that of a normal variable.
    assert torch.equal(numbers[2, [0, 2]], numbers[3, [0, 2]])
    assert torch.equal(law[2], law[3])
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    free = (alpha / (alpha**2 + sigma**2) * x[:, 1]).float()
    torch.testing.assert_close(numbers[2:4, 1], free[2:4])
    # Known to be there: as if it had no flag.
    torch.testing.assert_close(joint(x[:2], t), plain(x[:2], t))
    # Not known: the mean over both, with the flag's own probability.
    there = PROCESS.answers(joint(x, t, present=True))[0]
    gone = law[4:, 1].softmax(-1)[:, 1]
    torch.testing.assert_close(there[4:], PROCESS.answers(plain(x[4:], t))[0])
    torch.testing.assert_close(numbers[4:, 1], gone * free[4:] + (1 - gone) * there[4:, 1])
    assert gone.min() > 0.05
    assert gone.max() < 0.95


def test_what_is_known_is_shown_as_it_is_and_said_again():
    joint = MixedDenoiser(Told(), PROCESS, TARGETS["edm"](), (5, 2))
    known = torch.tensor([[True, False, False, True, False]])
    x = torch.tensor([[0.3, 0.7, -1.0, 2, 5]]).double()
    for t in (torch.tensor(0.4, dtype=torch.float64), torch.tensor([0.4])):
        numbers, law = PROCESS.answers(joint(x, t, known=known))
        scale = joint.target.coefficients(joint.numbers, t)[2].float()
        seen = 0.3 + scale * (0.7 - 1.0) + 0.1 * 7 + (1 + 4) + joint.numbers.schedule.log_snr(t).float() / -8
        assert numbers[0, 0] == 0.3
        assert law[0, 0].softmax(-1).tolist() == [0, 0, 1, 0, 0, 0]
        torch.testing.assert_close(law[0, 1, 1] - law[0, 1, 0], seen.squeeze() / 5, rtol=1e-5, atol=1e-5)


def test_refusals():
    with pytest.raises(UserError, match="1 to 5 symbols"):
        MixedDenoiser(Rows(), PROCESS, TARGETS["x0"](), (6, 2))
    with pytest.raises(UserError, match="each of 2 columns"):
        MixedDenoiser(Rows(), PROCESS, TARGETS["x0"](), (5,))
    with pytest.raises(UserError, match="in this order"):
        MixedDenoiser(Rows(), Product(PROCESS.fields[::-1]), TARGETS["x0"](), SIZES)
