"""Processes on symbols: draws, closed forms and the bound's integrand, beyond what the suite checks by brute force."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.processes.categorical import CATEGORICALS, Categorical, absorbing, uniform
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import VP
from pellucid.processes.survival import SURVIVALS, Cosine
from pellucid.processes.symbols import certain, divergence, pick, symbols

F64 = torch.float64
TILTED = (0.1, 0.2, 0.3, 0.4)


def when(value):
    return torch.tensor(value, dtype=F64)


def test_pick_inverts_the_distribution_function():
    law = torch.tensor([[0.0, 2.0, 0.0, 1.0, 0.0]], dtype=F64)
    u = torch.tensor([0.0, 0.3, 2 / 3 - 1e-12, 2 / 3 + 1e-12, 1 - 2.0**-53], dtype=F64)
    # Symbols of no weight are never drawn, not even at the ends.
    assert pick(law.expand(5, -1), u).tolist() == [1, 1, 1, 3, 3]
    # A number that was rounded up to 1 (as float32 does) is still inside.
    assert pick(law, torch.ones(1)).tolist() == [3]


def test_small_probabilities_are_drawn_as_often_as_they_should_be():
    """An event of probability 1e-9 lies below the grid of 24-bit numbers, which would make it 60 times too frequent
    or impossible; on the fine grid its edge is where it should be."""
    process = absorbing(3)
    law = torch.tensor([[1e-9, 1 - 1e-9]], dtype=F64)
    edge = torch.tensor([0.5e-9, 0.999999e-9, 1.000001e-9], dtype=F64)
    assert pick(law.expand(3, -1), edge).tolist() == [0, 0, 1]
    drawn = process.draw(Stream.of(0, range(1000)), (100,), step=0)
    assert drawn.dtype == F64
    # Numbers off the grid of 2^-24: with 24 bits there would be none.
    assert ((drawn * 2.0**24) % 1 > 0).double().mean() > 0.99


def test_the_denoisers_precision_does_not_cool_the_draws():
    """The same posterior as logits of float32 and float64 gives the same bridge, in float64."""
    logits = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0))
    x = torch.full((4, 6), 4)
    process = absorbing(5)
    logits[..., 4] = -math.inf
    one, two = (process.bridge_law(x, values, when(0.7), when(0.2)) for values in (logits, logits.double()))
    assert one.dtype == F64
    assert torch.equal(one, two)


@pytest.mark.parametrize("name", SURVIVALS)
@pytest.mark.parametrize("pi", [TILTED, (0, 0, 0, 1.0), (0.25,) * 4])
def test_two_steps_of_noise_are_one(name, pi):
    process = Categorical(pi, SURVIVALS[name]())
    s, t = when(0.3), when(0.8)
    symbols_ = torch.arange(4)[:, None]
    first, then = process.corrupt_law(symbols_, s)[:, 0], process.renoise_law(symbols_, s, t)[:, 0]
    torch.testing.assert_close(first @ then, process.corrupt_law(symbols_, t)[:, 0], rtol=0, atol=1e-15)


@pytest.mark.parametrize("pi", [TILTED, (0, 0, 0, 1.0)])
def test_times_of_a_batch_are_those_of_its_items(pi):
    process = Categorical(pi, Cosine())
    generator = torch.Generator().manual_seed(1)
    x0 = torch.randint(0, 3, (5, 2, 3), generator=generator)  # a grid of symbols
    noise = torch.rand(5, 2, 3, dtype=F64, generator=generator)
    logits = torch.randn(5, 2, 3, 4, dtype=F64, generator=generator)
    t, s = torch.linspace(0.3, 1, 5, dtype=F64), torch.linspace(0.1, 0.6, 5, dtype=F64)
    x = process.corrupt(x0, t, noise)
    whole = [
        x,
        process.bridge_law(x, logits, t, s),
        process.renoise_law(x, s, t),
        process.integrand(logits, x0, x, t * 0.9),
        process.loss(logits, x0, t),
    ]
    for i in range(5):
        row = slice(i, i + 1)
        alone = [
            process.corrupt(x0[row], t[i], noise[row]),
            process.bridge_law(x[row], logits[row], t[i], s[i]),
            process.renoise_law(x[row], s[i], t[i]),
            process.integrand(logits[row], x0[row], x[row], t[i] * 0.9),
            process.loss(logits[row], x0[row], t[i]),
        ]
        for many, one in zip(whole, alone, strict=True):
            torch.testing.assert_close(many[row], one, rtol=1e-13, atol=1e-15)


def test_the_ends():
    x0 = torch.tensor([[0, 2, 1]])
    for process in (absorbing(4), uniform(4), Categorical(TILTED)):
        assert torch.equal(process.corrupt(x0, when(0.0), torch.full((1, 3), 0.999, dtype=F64)), x0)
        assert process.prior_kl(x0).abs().max() < 1e-15
        # The last step to t = 0 is a draw of the posterior.
        sure = certain(x0, 4)
        x = process.corrupt(x0, when(0.5), torch.full((1, 3), 0.9, dtype=F64))
        assert torch.equal(process.bridge(x, sure, when(0.5), when(0.0), torch.rand(1, 3, dtype=F64)), x0)
    assert (absorbing(4).prior(torch.rand(2, 5, dtype=F64)) == 3).all()


def test_the_integrand_is_the_limit_of_the_steps_divergence():
    """For the laws that no closed form covers: KL of a step of h, over h, against the integrand."""
    process = Categorical(TILTED, Cosine())
    generator = torch.Generator().manual_seed(2)
    x0 = torch.randint(0, 4, (40, 1), generator=generator)
    x = torch.randint(0, 4, (40, 1), generator=generator)
    logits = torch.randn(40, 1, 4, dtype=F64, generator=generator)
    t, h = when(0.6), 1e-5
    step = process.step_divergence(logits, x0, x, t, t - h) / h
    # The next term is of order h relative.
    torch.testing.assert_close(process.integrand(logits, x0, x, t), step, rtol=2e-3, atol=1e-6)


def test_the_masked_integrand_is_the_general_one():
    process = absorbing(4, Cosine())
    generator = torch.Generator().manual_seed(3)
    x0 = torch.randint(0, 3, (40, 2), generator=generator)
    x = torch.where(torch.rand(40, 2, generator=generator) < 0.5, x0, 3)
    logits = torch.randn(40, 2, 4, dtype=F64, generator=generator)
    logits[..., 3] = -math.inf
    logits = torch.where((x == 3)[..., None], logits, certain(x0, 4))
    t = when(0.4)
    true, model = process.rates(x, x0, t), process.expected_rates(x, logits, t)
    general = (torch.xlogy(true, true) - torch.xlogy(true, model) + model - true).sum(-1)
    torch.testing.assert_close(process.integrand(logits, x0, x, t), general, rtol=1e-12, atol=1e-12)
    by_hand = process.weight(t) * -logits.log_softmax(-1).gather(-1, x0[..., None])[..., 0]
    torch.testing.assert_close(process.integrand(logits, x0, x, t), by_hand * (x == 3), rtol=1e-12, atol=1e-12)


def test_a_symbol_that_the_model_rules_out_costs_infinitely_much():
    process = uniform(3)
    x0, x = torch.tensor([[0]]), torch.tensor([[1]])
    wrong = certain(torch.tensor([[1]]), 3)
    losses = process.integrand(wrong, x0, x, when(0.5))
    assert losses.item() > 0
    masked = absorbing(4)
    assert masked.integrand(certain(torch.tensor([[1]]), 4), x0, torch.tensor([[3]]), when(0.5)).item() == math.inf


def test_a_posterior_of_what_cannot_be_stays_a_law():
    """An unmasked symbol stays itself whatever a network says."""
    process = absorbing(4)
    x = torch.tensor([[1, 3]])
    wrong = certain(torch.tensor([[0, 2]]), 4)
    law = process.bridge_law(x, wrong, when(0.6), when(0.3))
    torch.testing.assert_close(law.sum(-1), torch.ones(1, 2, dtype=F64))
    assert law[0, 0].tolist() == [0, 1, 0, 0]
    torch.testing.assert_close(law[0, 1], torch.tensor([0, 0, 0.5, 0.5], dtype=F64))


def test_divergence():
    p, q = torch.tensor([0.5, 0.5, 0.0], dtype=F64), torch.tensor([0.25, 0.25, 0.5], dtype=F64)
    assert divergence(p, q).item() == pytest.approx(math.log(2), rel=1e-12)
    assert divergence(q, p).item() == math.inf


def test_refusals():
    with pytest.raises(UserError, match="sum to 1"):
        Categorical((0.5, 0.6))
    with pytest.raises(UserError, match="two or more"):
        Categorical((1.0,))
    with pytest.raises(UserError, match="sum to 1"):
        Categorical((float("nan"), 1.0))
    with pytest.raises(UserError, match="did you mean 'absorbing'"):
        CATEGORICALS["absorb"]
    with pytest.raises(UserError, match="use a model of tokens"):
        symbols(Gaussian(VP()), "the loss")
