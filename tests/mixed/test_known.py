"""Known columns: the exact denoiser under them against Bayes' rule, and what solvers sample against the exact law."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.mixed.known import Known
from pellucid.mixed.oracles import MixedOracle
from pellucid.processes.categorical import absorbing, uniform
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.product import Field, Product
from pellucid.processes.schedules import Rectified
from pellucid.solvers import Ancestral, ProductSolver, sample

F64 = torch.float64
MEANS = torch.tensor([[-1.2, 0.5], [0.9, -0.4]], dtype=F64)
VARIANCES = torch.tensor([[0.2, 0.6], [0.4, 0.3]], dtype=F64)
TABLES = torch.tensor([[[0.7, 0.2, 0.1], [0.8, 0.2, 0.0]], [[0.1, 0.3, 0.6], [0.3, 0.7, 0.0]]], dtype=F64)
WEIGHTS = torch.tensor([0.35, 0.65], dtype=F64)


def law(symbols):
    process = Product((Field("numbers", Gaussian(Rectified()), 2), Field("categories", symbols, 2)))
    return MixedOracle(process, MEANS, VARIANCES, TABLES, WEIGHTS)


def shares(number=None, category=None):
    """p(component given the first number, or the first category), by hand."""
    weight = WEIGHTS.clone()
    if number is not None:
        weight *= Normal(MEANS[:, 0], VARIANCES[:, 0].sqrt()).log_prob(torch.tensor(number, dtype=F64)).exp()
    if category is not None:
        weight *= TABLES[:, 0, category]
    return weight / weight.sum()


@pytest.mark.parametrize("symbols", [absorbing(4), uniform(3)])
def test_bayes_by_hand(symbols):
    oracle, when, point = law(symbols), 0.4, 0.3
    t = torch.tensor(when, dtype=F64)
    alpha, sigma = (float(f(t)) for f in (Rectified().alpha, Rectified().sigma))
    seen = symbols.num_symbols - 1  # of the second category; the first is known to be 1, and the first number too
    x = torch.tensor([[point, -0.2, 1, seen]], dtype=F64)
    known = torch.tensor([[True, False, True, False]])
    x0, logits = oracle.process.answers(oracle(x, t, known=known))
    weight = shares(point, 1)
    total = alpha**2 * VARIANCES[:, 1] + sigma**2
    reached = torch.tensor([(1 - when) * (seen == c) + when * symbols.pi[seen] for c in range(3)], dtype=F64)
    joint = TABLES[:, 1] * reached
    weight = weight * Normal(alpha * MEANS[:, 1], total.sqrt()).log_prob(x[0, 1]).exp() * joint.sum(1)
    weight = weight / weight.sum()
    means = MEANS[:, 1] + alpha * VARIANCES[:, 1] / total * (x[0, 1] - alpha * MEANS[:, 1])
    assert x0[0].tolist() == pytest.approx([point, (weight * means).sum().item()], rel=1e-10)
    exact = (weight[:, None] * joint / joint.sum(1, keepdim=True)).sum(0)
    assert logits[0, 1, :3].exp().tolist() == pytest.approx(exact.tolist(), abs=1e-12)
    assert logits[0, 0].exp().tolist() == [float(c == 1) for c in range(symbols.num_symbols)]


@pytest.mark.parametrize("told", ["number", "category"])
def test_solvers_sample_the_exact_conditional_law(told):
    oracle, count = law(absorbing(4)), 6000
    process = oracle.process
    values = torch.tensor([0.1, 0.0, 0.0, 0.0], dtype=F64).expand(count, -1)
    known = torch.zeros(count, 4, dtype=torch.bool)
    known[:, 0 if told == "number" else 2] = True
    stream = Stream.of(3, range(count))
    x = process.prior(process.draw(stream, (4,), step=0)[0, 0])
    times = torch.linspace(1, 0, 101, dtype=F64)
    solver = ProductSolver((Ancestral(), Ancestral()))
    made = sample(Known(oracle, values, known), x, times, solver, stream=stream)
    weight = shares(number=0.1) if told == "number" else shares(category=0)
    # To the round-off of the last step.
    torch.testing.assert_close(made[known], values[known], rtol=0, atol=1e-12)
    five = 5 * 0.5 / math.sqrt(count)  # standard errors of a share near 1/2
    categories = process.unpack(made)[1]
    for column in range(2) if told == "number" else [1]:
        found = torch.bincount(categories[:, column], minlength=3).double() / count
        torch.testing.assert_close(found, weight @ TABLES[:, column], rtol=0, atol=five)
    for column in range(2) if told == "category" else [1]:
        for level in (-1.5, -0.5, 0.5, 1.5):
            exact = weight @ Normal(MEANS[:, column], VARIANCES[:, column].sqrt()).cdf(torch.tensor(level, dtype=F64))
            # A hundred steps of first order leave an error of about one in a hundred of a variance.
            assert (made[:, column] <= level).double().mean().item() == pytest.approx(exact.item(), abs=five + 0.005)


def test_refusals():
    oracle = law(absorbing(4))
    with pytest.raises(UserError, match="rows have 4 columns"):
        Known(oracle, torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool))
