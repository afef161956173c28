"""Solvers of symbols, beyond the suite's tests of their samples: each against what its own formulas say."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.processes.categorical import Categorical, absorbing, uniform
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.matrices import betas_of, chain
from pellucid.processes.schedules import VP
from pellucid.processes.survival import Cosine, Linear, even_times
from pellucid.solvers import (
    SOLVERS,
    TOKEN_SOLVERS,
    Confidence,
    Corrected,
    FirstHitting,
    Remasking,
    TauLeaping,
    TokenEuler,
    sample,
    solvers_of,
)
from pellucid.solvers.base import on_rows
from pellucid.tokens.oracles import table_oracle

F64 = torch.float64
MASKED_ONLY = ("first-hitting", "cached", "remasking", "confidence")
TABLE = torch.tensor([[0.3, 0.05, 0.1], [0.05, 0.25, 0.0], [0.05, 0.1, 0.1]], dtype=F64)
GRID = 20_000


def law(process):
    return table_oracle(process, TABLE)


def run(denoiser, solver, *, steps, ids, shape=(2,), seed=4, **cond):
    process = denoiser.process
    stream = Stream.of(seed, ids)
    x = process.prior(process.draw(stream, shape, step=0)[0, 0])
    return sample(denoiser, x, even_times(Linear(), steps), solver, stream=stream, **cond)


def processes(name):
    return (
        [absorbing(4, Cosine())]
        if name in MASKED_ONLY
        else [absorbing(4), uniform(3, Cosine()), Categorical((0.2, 0.3, 0.5))]
    )


@pytest.mark.parametrize("name", TOKEN_SOLVERS)
def test_an_item_depends_on_its_own_seed_alone(name):
    for process in processes(name):
        many = run(law(process), TOKEN_SOLVERS[name](), steps=6, ids=range(40))
        few = run(law(process), TOKEN_SOLVERS[name](), steps=6, ids=[3, 31])
        assert torch.equal(many[[3, 31]], few)


@pytest.mark.parametrize("name", TOKEN_SOLVERS)
def test_it_ends_at_data(name):
    """No mask is left, whatever the steps; with one place samples follow the law in any number of steps that the
    solver takes as exact: what is known certainly comes out."""
    for process in processes(name):
        certain = table_oracle(process, torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 0, 0]], dtype=F64))
        for steps in (1, 5):
            x = run(certain, TOKEN_SOLVERS[name](), steps=steps, ids=range(30))
            assert (x == torch.tensor([1, 2])).all()


@pytest.mark.parametrize("name", MASKED_ONLY)
def test_masked_solvers_refuse_other_noise(name):
    with pytest.raises(UserError, match="masked models"):
        run(law(uniform(3)), TOKEN_SOLVERS[name](), steps=2, ids=range(2))
    with pytest.raises(UserError, match="continuous time"):
        run(law(chain("absorbing", betas_of(Linear(), 2), 4)), TOKEN_SOLVERS[name](), steps=2, ids=range(2))


@pytest.mark.parametrize("name", ["ancestral", "corrected"])
def test_general_solvers_serve_chains(name):
    """On places that do not depend on one another a step of any length is exact."""
    table = torch.outer(TABLE.sum(1), TABLE.sum(0))
    process = chain("gaussian", betas_of(Linear(), 8), 3)
    x = run(table_oracle(process, table), TOKEN_SOLVERS[name](), steps=8, ids=range(4000))
    counts = torch.bincount(3 * x[:, 0] + x[:, 1], minlength=9) / 4000
    # Five standard errors.
    assert (counts - table.flatten()).abs().max() < 5 * math.sqrt(0.2 / 4000)


def test_tables_are_chosen_by_process():
    assert solvers_of(absorbing(3)) is TOKEN_SOLVERS
    assert solvers_of(Gaussian(VP())) is SOLVERS


def step_law(solver, denoiser, x, t, s, draws=1):
    """The law of one place after a step, from an even grid of the step's uniform numbers."""
    u = ((torch.arange(GRID, dtype=F64) + 0.5) / GRID)[None, :, None].expand(draws, -1, 1)
    start = torch.full((GRID, 1), x)
    when = [torch.tensor(v, dtype=F64) for v in (t, s)]
    end, _ = solver(denoiser, start, *when, u, None)
    return torch.bincount(end[:, 0], minlength=denoiser.process.num_symbols).double() / GRID


@pytest.fixture
def one():
    """One place, so that a step's law is known."""
    return torch.tensor([0.5, 0.3, 0.2], dtype=F64)


@pytest.mark.parametrize("s", [0.5, 0.0])
def test_remasking_by_its_equations(one, s):
    t, solver = 0.8, Remasking(cap=0.3, rescale=0.5)
    denoiser = table_oracle(absorbing(4), one)
    alpha_t, alpha_s = 1 - t, 1 - s
    h = min(0.3, 0.5 * (1 - alpha_s) / alpha_t)
    restored = (alpha_s - (1 - h) * alpha_t) / (1 - alpha_t)
    expected = torch.cat([restored * one, torch.tensor([1 - restored], dtype=F64)])
    # Cells of an even grid of draws.
    torch.testing.assert_close(step_law(solver, denoiser, 3, t, s), expected, rtol=0, atol=2 / GRID)
    kept = torch.tensor([0, 1 - h, 0, h], dtype=F64)
    torch.testing.assert_close(step_law(solver, denoiser, 1, t, s), kept, rtol=0, atol=2 / GRID)
    # The marginal law of the mask stays that of the process.
    whole = (1 - alpha_t) * (1 - restored) + alpha_t * h
    assert whole == pytest.approx(1 - alpha_s, abs=1e-12)


def test_rates_by_hand(one):
    """Uniform noise on one place: the reverse rate is the forward rate times the ratio of the marginals."""
    t, s = 0.5, 0.48
    process = uniform(3)
    denoiser = table_oracle(process, one)
    marginal = 0.5 * one + 0.5 / 3
    rates = torch.tensor(
        [1 / 0.5 / 3 * (marginal[y] / marginal[1]).item() if y != 1 else 0.0 for y in range(3)], dtype=F64
    )
    total = rates.sum() * 0.02
    for solver, leave in ((TokenEuler(), total), (TauLeaping(), 1 - (-total).exp())):
        expected = leave * rates / rates.sum()
        expected[1] = 1 - leave
        torch.testing.assert_close(step_law(solver, denoiser, 1, t, s), expected, rtol=0, atol=2 / GRID)


def test_rates_stay_finite_where_nothing_survives():
    denoiser = law(uniform(3, Cosine()))
    x = run(denoiser, TokenEuler(), steps=300, ids=range(3))
    assert ((x >= 0) & (x < 3)).all()


def test_first_hitting_asks_at_the_times_of_the_places():
    """The order and the times are those of the uniform numbers, each call sees what has been restored so far, and a
    step restores what lies within it."""
    denoiser = law(absorbing(4, Cosine()))
    asked = []

    class Spy:
        process = denoiser.process

        def __call__(self, x, t, **cond):
            asked.append((x.clone(), t.clone()))
            return denoiser(x, t)

    noise = torch.tensor([[[0.2, 0.7], [0.9, 0.1]], [[0.5, 0.5], [0.5, 0.5]]], dtype=F64)
    x = torch.full((2, 2), 3)
    one, half = torch.ones((), dtype=F64), Cosine().time(torch.tensor(0.5, dtype=F64))
    x, _ = FirstHitting()(Spy(), x, one, half, noise, None)
    # Above the share 0.5 lie the second place of the first item and the first of the second.
    assert (x == 3).tolist() == [[True, False], [False, True]]
    assert len(asked) == 1
    assert Cosine().lost(asked[0][1]).tolist() == pytest.approx([0.7, 0.9])
    x, _ = FirstHitting()(Spy(), x, half, torch.zeros((), dtype=F64), noise, None)
    assert (x < 3).all()
    assert (asked[1][0] == 3).sum() == 2


def test_confidence_restores_by_the_schedule_and_the_surest_first():
    sure = torch.zeros(3, 3, 3, 3, dtype=F64)
    places = [
        torch.tensor(p, dtype=F64) for p in ([0.4, 0.3, 0.3], [0.98, 0.01, 0.01], [0.6, 0.2, 0.2], [0.9, 0.05, 0.05])
    ]
    sure = torch.einsum("a,b,c,d->abcd", *places)
    denoiser = table_oracle(absorbing(4), sure)
    left = []

    def follow(i, t, s, x):
        left.append((x == 3).tolist()[0])

    stream = Stream.of(0, range(1))
    sample(
        denoiser,
        torch.full((1, 4), 3),
        even_times(Linear(), 4),
        Confidence(by_law=True),
        stream=stream,
        callback=follow,
    )
    assert left == [[True, False, True, True], [True, False, True, False], [True, False, False, False], [False] * 4]
    # Cold symbols are the most probable ones.
    x = run(denoiser, Confidence(temperature=1e-3), steps=2, ids=range(20), shape=(4,))
    assert (x == 0).all()
    # A wide spread makes the order that of the noise: the unsure place comes first as often as any.
    first = []
    for ids in (range(400),):
        stream = Stream.of(1, ids)
        start = torch.full((400, 4), 3)
        times = torch.tensor([1.0, 0.75], dtype=F64)
        x = sample(denoiser, start, times, Confidence(by_law=True, spread=1e6), stream=stream)
        first = (x != 3).double().mean(0)
    torch.testing.assert_close(first, torch.full((4,), 0.25, dtype=F64), rtol=0, atol=5 * math.sqrt(0.19 / 400))


def test_corrected_keeps_a_law_that_is_right(one):
    """Started from the exact marginal at t, with one place, a step ends in the exact marginal at s."""
    process = uniform(3)
    denoiser = table_oracle(process, one)
    t, s, count = torch.tensor(0.7, dtype=F64), torch.tensor(0.4, dtype=F64), 40_000
    noise = Stream.of(8, range(count)).fine_uniform((1,), step=0, num_draws=6)[0]
    x0 = torch.multinomial(one, count, replacement=True, generator=torch.Generator().manual_seed(0))[:, None]
    x = process.corrupt(x0, t, noise[0])
    x, _ = Corrected(moves=2)(denoiser, x, t, s, noise[1:], None)
    found = torch.bincount(x[:, 0], minlength=3).double() / count
    # Five standard errors.
    torch.testing.assert_close(found, 0.6 * one + 0.4 / 3, rtol=0, atol=5 * math.sqrt(0.25 / count))


def test_rows_with_conditions():
    """Part of a batch is asked with its part of the conditions; a denoiser that knows of no rows is asked whole."""
    seen = []

    class Told:
        process = absorbing(4)

        def __call__(self, x, t, *, label=None, scale=1.0):
            seen.append((len(x), None if label is None else label.tolist(), scale))
            return torch.zeros(*x.shape, 4)

        def rows(self, index, num):
            return self

    class Whole(Told):
        rows = None

    x = torch.full((6, 2), 3)
    index = torch.tensor([4, 1])
    assert on_rows(Told(), x, torch.tensor(0.5), index).shape == (2, 2, 4)
    assert seen.pop() == (2, None, 1.0)
    run(Told(), TOKEN_SOLVERS["cached"](), steps=5, ids=range(6), label=torch.arange(6), scale=2.0)
    sizes = {size for size, _, _ in seen}
    assert sizes != {6}
    assert all(scale == 2.0 and len(label) == size for size, label, scale in seen)
    seen.clear()
    run(Whole(), TOKEN_SOLVERS["cached"](), steps=5, ids=range(6), label=torch.arange(6))
    assert {size for size, _, _ in seen} == {6}


def test_refusals():
    with pytest.raises(UserError, match="temperature"):
        Confidence(temperature=0)
    with pytest.raises(UserError, match="cap"):
        Remasking(cap=1.5)
    with pytest.raises(UserError, match="between 1 and 100"):
        Corrected(moves=0)
