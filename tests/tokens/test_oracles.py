"""The exact denoiser of a table, against sums over all items written out."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.processes.categorical import Categorical, absorbing, uniform
from pellucid.tokens.oracles import TableOracle, all_items, table_oracle

F64 = torch.float64
TABLE = torch.tensor([[0.3, 0.0, 0.1], [0.05, 0.25, 0.0], [0.1, 0.1, 0.1]], dtype=F64)


@pytest.mark.parametrize("process", [absorbing(4), uniform(3), Categorical((0.2, 0.3, 0.5))])
@pytest.mark.parametrize("when", [0.2, 0.9])
def test_posterior_by_hand(process, when):
    law = table_oracle(process, TABLE)
    size, t = process.num_symbols, torch.tensor(when, dtype=F64)
    alpha = 1 - when

    def q(x, x0):
        return alpha * (x == x0) + (1 - alpha) * process.pi[x]

    for x in itertools.product(range(size), repeat=2):
        joint = {x0: TABLE[x0].item() * q(x[0], x0[0]) * q(x[1], x0[1]) for x0 in itertools.product(range(3), repeat=2)}
        total = sum(joint.values())
        if total == 0:
            continue
        found = law(torch.tensor([x]), t)[0].exp()
        for place, symbol in itertools.product(range(2), range(3)):
            exact = sum(p for x0, p in joint.items() if x0[place] == symbol) / total
            assert found[place, symbol].item() == pytest.approx(exact, abs=1e-13)
        assert found[:, 3:].sum() == 0
    # Items at times of their own.
    x = all_items(size, 2)
    many = law(x, t.expand(len(x)))
    torch.testing.assert_close(many, law(x, t), rtol=0, atol=1e-12)


def test_the_law_itself():
    law = table_oracle(absorbing(4), TABLE)
    p = TABLE.flatten()
    exact = -sum(v * math.log(v) for v in p.tolist() if v)
    assert law.entropy() == pytest.approx(exact, rel=1e-12)
    items = all_items(3, 2)
    torch.testing.assert_close(law.log_prob(items).exp(), p, rtol=1e-12, atol=0)
    u = (torch.arange(10_000, dtype=F64) + 0.5) / 10_000
    drawn = (law.sample(u)[:, None] == items).all(-1).double().mean(0)
    torch.testing.assert_close(drawn, p, rtol=0, atol=2e-4)  # cells of an even grid


def test_refusals():
    items, weights = all_items(3, 2), torch.ones(9)
    with pytest.raises(UserError, match=r"\[3\] are none"):
        TableOracle(absorbing(4), items + 1, weights)  # data never hold the mask
    with pytest.raises(UserError, match="positive"):
        TableOracle(uniform(3), items, weights - 1)
    with pytest.raises(UserError, match="weights"):
        TableOracle(uniform(3), items, weights[:3])
