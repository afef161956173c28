"""Chains of any matrices: the matrices are those of the paper, and a chain of rates is the continuous process."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.processes.categorical import absorbing, uniform
from pellucid.processes.d3pm import D3PM
from pellucid.processes.matrices import MATRICES, betas_of, chain
from pellucid.processes.survival import SURVIVALS, Linear

F64 = torch.float64
BETAS = torch.tensor([0.02, 0.2, 0.7], dtype=F64)


def made(name, size=5):
    place = torch.arange(size, dtype=F64)
    options = {"neighbours": {"embedding": place[:, None] ** 1.1, "count": 2}, "band": {"width": 2}}
    return MATRICES[name](BETAS, size, **options.get(name, {}))


@pytest.mark.parametrize("name", MATRICES)
def test_rows_are_laws_and_columns_too_but_for_the_mask(name):
    steps = made(name)
    assert steps.shape == (3, 5, 5)
    assert (steps >= 0).all()
    one = torch.ones(3, 5, dtype=F64)
    torch.testing.assert_close(steps.sum(-1), one, rtol=0, atol=1e-14)
    if name != "absorbing":
        torch.testing.assert_close(steps.sum(1), one, rtol=0, atol=1e-14)
        torch.testing.assert_close(steps, steps.mT, rtol=0, atol=1e-14)


def test_entries_by_hand():
    """The definitions of appendix A.2 of Austin et al., symbol by symbol."""
    gaussian, band = made("gaussian"), made("band")
    for i, beta in enumerate(BETAS.tolist()):
        total = sum(math.exp(-4 * n * n / (16 * beta)) for n in range(-4, 5))
        assert gaussian[i, 1, 3].item() == pytest.approx(math.exp(-4 * 4 / (16 * beta)) / total, rel=1e-12)
        assert band[i, 0].tolist() == pytest.approx([1 - beta / 2, beta / 4, beta / 4, 0, 0], rel=1e-12)
        assert made("uniform")[i, 2, 3].item() == pytest.approx(beta / 5, rel=1e-12)
        assert made("absorbing")[i, 2].tolist() == pytest.approx([0, 0, 1 - beta, 0, beta], rel=1e-12)


def test_neighbours_move_along_the_graph():
    """Four points on a line, one neighbour each: 0-1, 1-2 (mutual or not) and so on, so that the ends never meet at
    first order in the rate."""
    embedding = torch.tensor([[0.0], [1.0], [1.9], [2.7]], dtype=F64)
    small = torch.tensor([1e-6], dtype=F64)
    step = MATRICES["neighbours"](small, 4, embedding=embedding)[0] / 1e-6
    # 0 has 1 for its nearest, 1 has 2, 2 and 3 have one another: an edge counts a half, a mutual one a whole.
    assert step[0, 1].item() == pytest.approx(0.5, rel=1e-5)
    assert step[1, 2].item() == pytest.approx(0.5, rel=1e-5)
    assert step[2, 3].item() == pytest.approx(1.0, rel=1e-5)
    assert step[0, 3].item() < 1e-5


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_a_chain_of_rates_is_the_process_on_its_grid(name):
    """A mask's and a uniform chain whose rates follow a survival have the closed form's laws at t = i/T."""
    survival, count = SURVIVALS[name](), 10
    betas = betas_of(survival, count)
    if name == "linear":
        torch.testing.assert_close(betas, 1 / torch.arange(count, 0, -1, dtype=F64), rtol=1e-12, atol=0)
    t, s = torch.tensor(0.7, dtype=F64), torch.tensor(0.3, dtype=F64)
    logits = torch.randn(6, 3, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    x = torch.randint(0, 4, (6, 3), generator=torch.Generator().manual_seed(1))
    x0 = torch.randint(0, 3, (6, 3), generator=torch.Generator().manual_seed(2))
    for steps, process in (
        (chain("absorbing", betas, 4), absorbing(4, survival)),
        (chain("uniform", betas, 4), uniform(4, survival)),
    ):
        assert steps.mask == process.mask
        for one, other in (
            (steps.corrupt_law(x0, t), process.corrupt_law(x0, t)),
            (steps.renoise_law(x, s, t), process.renoise_law(x, s, t)),
            (steps.bridge_law(x, logits, t, s), process.bridge_law(x, logits, t, s)),
        ):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-13)
        torch.testing.assert_close(steps.prior_kl(x0), torch.zeros(6, dtype=F64), rtol=0, atol=1e-12)


def test_times_of_a_batch_are_those_of_its_items():
    steps = D3PM(made("gaussian"))
    generator = torch.Generator().manual_seed(3)
    x0, x = torch.randint(0, 5, (2, 4, 3), generator=generator).unbind()
    logits = torch.randn(4, 3, 5, dtype=F64, generator=generator)
    t, s = torch.tensor([1, 2, 3, 3], dtype=F64) / 3, torch.tensor([0, 1, 0, 2], dtype=F64) / 3
    for whole, alone in (
        (steps.corrupt_law(x0, t), lambda i, r: steps.corrupt_law(x0[r], t[i])),
        (steps.renoise_law(x, s, t), lambda i, r: steps.renoise_law(x[r], s[i], t[i])),
        (steps.bridge_law(x, logits, t, s), lambda i, r: steps.bridge_law(x[r], logits[r], t[i], s[i])),
        (steps.integrand(logits, x0, x, t), lambda i, r: steps.integrand(logits[r], x0[r], x[r], t[i])),
    ):
        for i in range(4):
            torch.testing.assert_close(whole[i : i + 1], alone(i, slice(i, i + 1)), rtol=1e-13, atol=1e-15)
    # A time in float32, as training has it, is on the grid; one between two steps counts for the later.
    torch.testing.assert_close(steps.corrupt_law(x0, t.float()), steps.corrupt_law(x0, t))
    torch.testing.assert_close(steps.integrand(logits, x0, x, t - 0.1), steps.integrand(logits, x0, x, t))


def test_refusals():
    with pytest.raises(UserError, match="sum to 1"):
        D3PM(torch.ones(2, 3, 3))
    with pytest.raises(UserError, match="shape"):
        D3PM(torch.ones(3, 3))
    with pytest.raises(UserError, match="prior is a law over 5"):
        D3PM(made("band"), torch.ones(4))
    with pytest.raises(UserError, match="lives at t = i/3"):
        D3PM(made("band")).corrupt_law(torch.zeros(1, 1, dtype=torch.int64), torch.tensor(0.5))
    with pytest.raises(UserError, match="falls into 2 pieces"):
        MATRICES["neighbours"](BETAS, 4, embedding=torch.tensor([[0.0], [0.1], [5.0], [5.1]]))
    with pytest.raises(UserError, match="between 1 and 4"):
        MATRICES["band"](BETAS, 5, width=5)
    with pytest.raises(UserError, match="at most 1"):
        MATRICES["uniform"](torch.tensor([1.5]), 3)
    with pytest.raises(UserError, match="did you mean 'gaussian'"):
        chain("gausian", BETAS, 3)
    with pytest.raises(UserError, match="at least 1 step"):
        betas_of(Linear(), 0)
