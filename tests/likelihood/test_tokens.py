"""The bound on the probability of symbols, against exact log-probabilities and sums written out."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.likelihood import token_nelbo
from pellucid.processes.categorical import absorbing, uniform
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.matrices import betas_of, chain
from pellucid.processes.schedules import VP
from pellucid.processes.survival import SURVIVALS, Linear
from pellucid.tokens.oracles import table_oracle

F64 = torch.float64
TABLE = torch.tensor([[0.3, 0.05, 0.1], [0.05, 0.25, 0.0], [0.05, 0.1, 0.1]], dtype=F64)


def drawn(law, count):
    return law.sample((torch.arange(count, dtype=F64) + 0.5) / count)


def test_item_by_item_for_a_mask():
    """For a mask the bound of the exact denoiser is -log p(x_0) of every item, not on average alone: the chain rule
    holds in every order."""
    law = table_oracle(absorbing(4, SURVIVALS["cosine"]()), TABLE)
    x0 = law.items.repeat_interleave(200, dim=0)
    found = token_nelbo(law, x0, evaluations=16)
    exact = -law.log_prob(law.items)
    means = found.value.reshape(-1, 200).mean(1)
    errors = found.standard_error.square().reshape(-1, 200).sum(1).sqrt() / 200
    assert ((means - exact).abs() < 4.5 * errors).all()
    # The error bar is the spread, to the 1 in 20 that a standard deviation of 200 estimates is known to.
    spread = found.value.reshape(-1, 200).std(1) / math.sqrt(200)
    torch.testing.assert_close(errors, spread, rtol=0.35, atol=0)


@pytest.mark.parametrize("steps", [1, 4])
def test_steps_against_their_sum(steps):
    """Two places, one step: each is drawn from its marginal law, so the bound is the sum of their cross-entropies."""
    law = table_oracle(absorbing(4), TABLE)
    x0 = drawn(law, 2000)
    found = token_nelbo(law, x0, steps=steps, evaluations=16)
    error = found.standard_error.square().sum().sqrt().item() / 2000
    apart = -(TABLE.sum(1).log()[x0[:, 0]] + TABLE.sum(0).log()[x0[:, 1]]).mean().item()
    together = -law.log_prob(x0).mean().item()
    # In N steps the two places are restored in the same one with probability 1/N.
    exact = apart / steps + together * (1 - 1 / steps)
    assert found.value.mean().item() == pytest.approx(exact, abs=4 * error + 1e-9)


def test_a_chain_counts_its_prior():
    betas = betas_of(Linear(), 6)[:4]  # two steps short of the prior
    process = chain("uniform", betas, 3)
    law = table_oracle(process, torch.tensor([0.6, 0.3, 0.1], dtype=F64))
    x0 = drawn(law, 1500)
    found = token_nelbo(law, x0, evaluations=24)
    end = torch.tensor([0.6, 0.3, 0.1], dtype=F64) @ process.products[-1]
    left = (end * (end * 3).log()).sum().item()
    error = found.standard_error.square().sum().sqrt().item() / 1500
    assert found.prior.mean() > left
    exact = -law.log_prob(x0).mean().item() + left
    assert found.value.mean().item() == pytest.approx(exact, abs=4 * error)


def test_padding_is_left_out():
    law = table_oracle(absorbing(4), TABLE)
    x0 = drawn(law, 50)
    real = torch.ones(50, 2, dtype=torch.bool)
    real[::2, 1] = False
    found, whole = token_nelbo(law, x0, evaluations=4, real=real), token_nelbo(law, x0, evaluations=4)
    assert torch.equal(found.value[1::2], whole.value[1::2])
    assert (found.value[::2] <= whole.value[::2]).all()
    assert found.places.tolist() == [1.0, 2.0] * 25


def test_an_item_depends_on_itself_and_its_id_alone():
    law = table_oracle(uniform(3), TABLE)
    x0 = drawn(law, 20)
    whole = token_nelbo(law, x0, evaluations=4)
    part = token_nelbo(law, x0[[7, 12]], evaluations=4, ids=torch.tensor([7, 12]))
    torch.testing.assert_close(part.value, whole.value[[7, 12]], rtol=1e-12, atol=0)
    assert not torch.equal(token_nelbo(law, x0, evaluations=4, seed=1).value, whole.value)


def test_units_and_error_bars():
    law = table_oracle(absorbing(4), TABLE)
    x0 = drawn(law, 400)
    found = token_nelbo(law, x0, evaluations=8)
    nats, bits = found.nats(), found.bits()
    assert nats.value == pytest.approx(found.value.mean().item())
    assert bits.value == pytest.approx(nats.value / 2 / math.log(2))
    half = 1.96 * found.value.std().item() / 20
    assert nats.high - nats.value == pytest.approx(half, rel=1e-3)
    # Counted by other lengths: all bits over all lengths.
    lengths = torch.arange(400) % 3 + 1
    ratio = found.value.sum().item() / math.log(2) / lengths.sum().item()
    assert found.bits(lengths).value == pytest.approx(ratio)
    assert found.bits(lengths).low < ratio < found.bits(lengths).high
    alone = token_nelbo(law, x0[:1], evaluations=4).nats()
    assert alone.low is None
    with pytest.raises(UserError, match="not all 0"):
        found.bits(torch.zeros(400))


def test_refusals():
    law = table_oracle(absorbing(4), TABLE)
    x0 = drawn(law, 4)
    with pytest.raises(UserError, match="hold the mask"):
        token_nelbo(law, x0 * 0 + 3)
    with pytest.raises(UserError, match="from 0 to 3"):
        token_nelbo(law, x0 + 3)
    with pytest.raises(UserError, match="whole numbers"):
        token_nelbo(law, x0.double())
    with pytest.raises(UserError, match="at least one place"):
        token_nelbo(law, x0[:0])
    with pytest.raises(UserError, match="evaluations must be at least 2"):
        token_nelbo(law, x0, evaluations=1)
    with pytest.raises(UserError, match="real says"):
        token_nelbo(law, x0, real=torch.ones(4, dtype=torch.bool))
    steps = chain("uniform", betas_of(Linear(), 6), 3)
    with pytest.raises(UserError, match="chain of 6 steps already"):
        token_nelbo(table_oracle(steps, TABLE), x0, steps=3)

    class Numbers:
        process = Gaussian(VP())

        def __call__(self, x, t, **cond):
            return x

    with pytest.raises(UserError, match="needs symbols"):
        token_nelbo(Numbers(), x0)
