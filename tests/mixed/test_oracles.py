"""The exact joint denoiser of rows, against Bayes' rule written out for one number and one category."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.mixed.oracles import MixedOracle
from pellucid.processes.categorical import absorbing, uniform
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.product import Field, Product
from pellucid.processes.schedules import VP

F64 = torch.float64
MEANS, VARIANCES, WEIGHTS = [-1.0, 0.8], [0.2, 0.5], [0.3, 0.7]
TABLES = [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]


def law(symbols):
    process = Product((Field("numbers", Gaussian(VP()), 1), Field("categories", symbols, 1)))
    tensors = [torch.tensor(v, dtype=F64) for v in (MEANS, VARIANCES, TABLES, WEIGHTS)]
    return MixedOracle(process, tensors[0][:, None], tensors[1][:, None], tensors[2][:, None], tensors[3])


@pytest.mark.parametrize("symbols", [absorbing(4), uniform(3)])
@pytest.mark.parametrize("batched", [False, True])
def test_bayes_by_hand(symbols, batched):
    oracle, when = law(symbols), 0.4
    t = torch.tensor(when, dtype=F64)
    alpha, sigma = (float(f(t)) for f in (VP().alpha, VP().sigma))
    for number in (-0.5, 0.9):
        for seen in range(symbols.num_symbols):

            def reached(c, seen=seen):
                return (1 - when) * (seen == c) + when * symbols.pi[seen]

            def normal(x, m, v):
                return math.exp(-0.5 * (x - m) ** 2 / v) / math.sqrt(v)

            shares, inner, laws = [], [], []
            for k in range(2):
                total = alpha**2 * VARIANCES[k] + sigma**2
                joint = [TABLES[k][c] * reached(c) for c in range(3)]
                shares.append(WEIGHTS[k] * normal(number, alpha * MEANS[k], total) * sum(joint))
                inner.append(MEANS[k] + alpha * VARIANCES[k] / total * (number - alpha * MEANS[k]))
                laws.append([p / sum(joint) for p in joint])
            shares = [share / sum(shares) for share in shares]
            x = torch.tensor([[number, seen]], dtype=F64)
            answer = oracle(x, t.expand(1) if batched else t)
            x0, logits = oracle.process.answers(answer)
            assert x0.item() == pytest.approx(sum(s * m for s, m in zip(shares, inner, strict=True)), rel=1e-10)
            found = logits[0, 0].exp().tolist()
            expected = [sum(s * p[c] for s, p in zip(shares, laws, strict=True)) for c in range(3)]
            assert found[:3] == pytest.approx(expected, abs=1e-12)
            assert sum(found[3:]) == 0


def test_samples_follow_the_law():
    oracle, count = law(absorbing(4)), 20_000
    generator = torch.Generator().manual_seed(0)
    u, picks = torch.rand(2, count, 1, dtype=F64, generator=generator)
    noise = torch.randn(count, 1, dtype=F64, generator=generator)
    x, c = oracle.process.unpack(oracle.sample(u[:, 0], noise, picks))
    shares = torch.bincount(c[:, 0], minlength=3).double() / count
    five = 5 / math.sqrt(count)  # standard errors of a share or of a distribution function
    torch.testing.assert_close(shares, oracle.table(), rtol=0, atol=0.5 * five)
    for level in (-1.0, 0.0, 1.0):
        below = (x <= level).double().mean().item()
        assert below == pytest.approx(oracle.cdf(torch.tensor([level]), 0).item(), abs=0.5 * five)
    # E[x; c = 0]: numbers and categories come from the same component.
    exact = sum(w * m * p[0] for w, m, p in zip(WEIGHTS, MEANS, TABLES, strict=True))
    assert (x * (c == 0)).mean().item() == pytest.approx(exact, abs=1.2 * five)


def test_refusals():
    good = law(absorbing(4))
    with pytest.raises(UserError, match="in this order"):
        MixedOracle(Product(good.process.fields[::-1]), good.means, good.variances, good.tables, good.weights)
    with pytest.raises(UserError, match="means and variances"):
        MixedOracle(good.process, good.means.T, good.variances, good.tables, good.weights)
    with pytest.raises(UserError, match="the tables"):
        MixedOracle(good.process, good.means, good.variances, good.tables[:1], good.weights)
