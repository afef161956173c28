"""Statistics of membership on laws that know all of their training items, or none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pellucid import SCHEDULES, Gaussian, MixtureOracle
from pellucid.audit.membership import STATISTICS, Loss, membership, membership_scores
from pellucid.foundations.errors import UserError
from pellucid.oracles import finite_oracle

PROCESS = Gaussian(SCHEDULES["edm"]())
CENTRES = 2 * torch.randn(5, 4, generator=torch.Generator().manual_seed(9))


def draws(num: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    pick = torch.randint(5, (num,), generator=generator)
    return CENTRES[pick] + 0.5 * torch.randn(num, 4, generator=generator)


@pytest.mark.parametrize("name", list(STATISTICS))
def test_the_perfect_memoriser_is_told(name: str) -> None:
    members, others = draws(200, 0), draws(200, 1)
    memoriser = finite_oracle(PROCESS, members)
    # At small noise the posterior mean is the item itself for members and another item for the others.
    scores = [membership_scores(memoriser, x, statistic=name, levels=(0.05, 0.1)) for x in (members, others)]
    found, control = membership(name, *scores)
    # The steps of secmi lead another item to the nearest member first, where the model is at ease again.
    assert found.auc.value >= (0.9 if name == "secmi" else 0.99)
    assert not control.tells


@pytest.mark.parametrize("name", list(STATISTICS))
def test_the_exact_law_is_not(name: str) -> None:
    law = MixtureOracle(PROCESS, CENTRES, torch.full((5,), 0.25))
    inside, repeats = 0, 20
    for seed in range(repeats):
        scores = [membership_scores(law, draws(100, 2 * seed + i), statistic=name) for i in (0, 1)]
        auc = membership(name, *scores)[0].auc
        assert auc.low is not None
        assert auc.high is not None
        inside += auc.low <= 0.5 <= auc.high
    # 95 % of 20 repeats, with four deviations of 0.049 below.
    assert inside / repeats >= 0.75


def test_the_loss_is_that_of_a_point() -> None:
    # A law of one point a has x0hat = a, so the error of an item x is |x - a|^2 at every level and for every noise.
    law = finite_oracle(PROCESS, torch.zeros(1, 4))
    x = draws(7, 3)
    expected = -x.double().square().mean(1).log()
    torch.testing.assert_close(Loss()(law, x, (0.1, 3.0)), expected, rtol=1e-5, atol=1e-6)


def test_scores_do_not_depend_on_the_batch() -> None:
    law = finite_oracle(PROCESS, draws(50, 0))
    x = draws(30, 1)
    whole, parts = membership_scores(law, x), membership_scores(law, x, batch_size=7)
    torch.testing.assert_close(whole, parts, rtol=1e-9, atol=0)  # round-off of float64 oracles


def test_levels_that_are_none_are_refused() -> None:
    with pytest.raises(UserError, match="positive numbers"):
        membership_scores(finite_oracle(PROCESS, draws(5, 0)), draws(5, 1), levels=(0.0,))
