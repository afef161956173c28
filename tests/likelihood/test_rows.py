"""The bound of rows against log p of a mixture that is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

from pellucid.foundations.errors import UserError
from pellucid.likelihood.rows import row_bound
from pellucid.mixed.oracles import MixedOracle
from pellucid.processes.categorical import absorbing, uniform
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.product import Field, Product
from pellucid.processes.schedules import VP, Rectified

MEANS, VARIANCES = torch.tensor([[-1.0], [0.8]]).double(), torch.tensor([[0.2], [0.5]]).double()
TABLES = torch.tensor([[[0.7, 0.2, 0.1], [0.5, 0.5, 0]], [[0.1, 0.3, 0.6], [0.9, 0.1, 0]]]).double()
WEIGHTS = torch.tensor([0.3, 0.7]).double()


@pytest.mark.parametrize(("schedule", "symbols"), [(Rectified(), absorbing(4)), (VP(), uniform(3))])
def test_the_bound_of_the_exact_denoiser_is_the_truth_on_average(schedule, symbols):
    process = Product((Field("numbers", Gaussian(schedule), 1), Field("categories", symbols, 2)))
    oracle = MixedOracle(process, MEANS, VARIANCES, TABLES, WEIGHTS)
    generator, count = torch.Generator().manual_seed(1), 3000
    u, picks = torch.rand(count, generator=generator), torch.rand(count, 2, generator=generator)
    x0 = oracle.sample(u.double(), torch.randn(count, 1, generator=generator).double(), picks.double())
    numbers, words = process.unpack(x0)
    joint = WEIGHTS.log() + Normal(MEANS[:, 0], VARIANCES[:, 0].sqrt()).log_prob(numbers)
    for f in range(2):
        joint = joint + TABLES[:, f].log().T[words[:, f]]
    exact = -joint.logsumexp(1)
    found = row_bound(oracle, x0, evaluations=64)
    gap = found.value - exact
    # Row by row the bound may lie on either side; its mean over the law is the entropy. Five standard errors, of which
    # times and noise make most; the last step of width 1e-3 is wide of the truth by a millionth.
    error = gap.std().item() / math.sqrt(count)
    assert error < 0.03
    assert gap.mean().item() == pytest.approx(0, abs=5 * error)
    # The error bar that it states is not less than what repeats show.
    again = row_bound(oracle, x0, evaluations=64, seed=1)
    spread = (again.value - found.value).square().mean().sqrt() / math.sqrt(2)
    assert spread < 1.1 * found.standard_error.square().mean().sqrt()


def test_another_law_costs_what_it_is_off():
    process = Product((Field("numbers", Gaussian(Rectified()), 1), Field("categories", absorbing(4), 2)))
    truth = MixedOracle(process, MEANS, VARIANCES, TABLES, WEIGHTS)
    wrong = MixedOracle(process, MEANS + 0.5, VARIANCES, TABLES[[1, 0]], WEIGHTS)
    generator = torch.Generator().manual_seed(2)
    u, picks = torch.rand(500, generator=generator), torch.rand(500, 2, generator=generator)
    x0 = truth.sample(u.double(), torch.randn(500, 1, generator=generator).double(), picks.double())
    gap = row_bound(wrong, x0, evaluations=32).value - row_bound(truth, x0, evaluations=32).value
    assert gap.mean() - 5 * gap.std() / math.sqrt(500) > 0


def test_ids_decide_and_refusals():
    process = Product((Field("numbers", Gaussian(Rectified()), 1), Field("categories", absorbing(4), 2)))
    oracle = MixedOracle(process, MEANS, VARIANCES, TABLES, WEIGHTS)
    x0 = torch.tensor([[0.2, 1, 0], [1.0, 2, 1]]).double()
    both = row_bound(oracle, x0, evaluations=8).value
    alone = row_bound(oracle, x0[1:], evaluations=8, ids=torch.tensor([1])).value
    torch.testing.assert_close(both[1:], alone)
    with pytest.raises(UserError, match="in this order"):
        row_bound(MixedOracle(Product(process.fields[::-1]), MEANS, VARIANCES, TABLES, WEIGHTS), x0)
