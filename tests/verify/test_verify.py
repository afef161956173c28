"""The suite passes on what is right, and sees what is wrong."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.oracles import MixtureOracle, quantile
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.solvers import SOLVERS
from pellucid.verify import GROUPS, check_solver, run
from pellucid.verify.model import calibrated, calibration, end_of_schedule, markov
from pellucid.verify.outcome import Outcome, near, timed

F64 = torch.float64


@pytest.mark.parametrize("group", ["noise", "facts"])
def test_exact_facts_are_met(group):
    outcomes = list(run([group]))
    assert [o.name for o in outcomes if not o.passed] == []
    assert len(outcomes) >= 3


@dataclasses.dataclass(frozen=True)
class Wrong:
    """A solver with one thing wrong: what it claims, or a factor on its move."""

    inner: object
    order: float
    factor: float = 1.0

    @property
    def draws(self):
        return self.inner.draws

    @property
    def evaluations(self):
        return self.inner.evaluations

    def __call__(self, denoiser, x, t, s, noise, carry):
        end, carry = self.inner(denoiser, x, t, s, noise, carry)
        return x + self.factor * (end - x), carry


@pytest.mark.parametrize("name", ["euler", "heun", "dpmpp-2m", "unipc-2", "ancestral", "sde-2"])
def test_check_solver_agrees_with_a_right_claim_and_not_with_a_wrong_one(name):
    solver = SOLVERS[name]()
    assert check_solver(solver, schedules=("vp",)).passed
    assert not check_solver(Wrong(solver, solver.order + 1), schedules=("vp",)).passed
    assert not check_solver(Wrong(solver, solver.order, 1.05), schedules=("vp",)).passed


def test_check_solver_sees_a_claim_that_is_too_low():
    assert not check_solver(Wrong(SOLVERS["heun"](), 1), schedules=("vp",)).passed


def test_a_solver_that_raises_fails_and_does_not_end_the_suite():
    def broken():
        yield near("first", 1.0, 1.0, 0.1, "why")
        raise ZeroDivisionError("no")

    outcomes = list(timed(broken, "group"))
    assert [o.passed for o in outcomes] == [True, False]
    assert "ZeroDivisionError" in outcomes[1].observed


def test_what_is_not_a_number_fails():
    assert not near("x", math.nan, 1.0, 1.0, "why").passed
    assert isinstance(near("x", 1.0, 1.0, 1.0, "why"), Outcome)


def test_unknown_groups_are_named():
    with pytest.raises(UserError, match="did you mean 'solvers'"):
        list(run(["solver"]))
    assert set(GROUPS) >= {"noise", "facts", "solvers", "laws"}


def law():
    generator = torch.Generator().manual_seed(0)
    process = Gaussian(SCHEDULES["edm"]())
    return MixtureOracle(process, torch.randn(5, 8, generator=generator), torch.full((5,), 0.05))


def drawn(oracle, count, seed=1):
    stream = Stream.of(seed, range(count))
    return oracle.sample(stream.normal((8,), step=0)[0, 0], stream.uniform((), step=1)[0, 0])


def test_an_exact_denoiser_states_its_error_exactly():
    oracle = law()
    for level in calibration(oracle, drawn(oracle, 4000)):
        assert abs(level.ratio - 1) < 4 * level.error + 1e-3, level


def test_an_overconfident_denoiser_is_seen():
    oracle = law()
    items = drawn(oracle, 1000)

    class Sharp:
        """The exact denoiser of components a tenth as wide."""

        process = oracle.process
        inner = dataclasses.replace(oracle, variances=oracle.variances / 10)

        def __call__(self, x, t):
            return self.inner(x, t)

    assert all(o.passed for o in calibrated(oracle, items, None))
    assert not all(o.passed for o in calibrated(Sharp(), items, None))


@pytest.mark.parametrize("schedule", ["vp", "rectified", "edm", "cosine"])
def test_the_claims_hold_on_every_schedule(schedule):
    process = Gaussian(SCHEDULES[schedule]())
    x0 = drawn(law(), 2000)
    assert [o.name for o in markov(process, x0) if not o.passed] == []


def test_a_chain_that_stops_short_of_its_prior_is_seen():
    assert all(o.passed for o in end_of_schedule(Gaussian(SCHEDULES["vp"]()), 1.0))
    short = Gaussian(SCHEDULES["vp"](beta_max=2.0))
    assert not all(o.passed for o in end_of_schedule(short, 1.0))


def test_markov_sees_a_wrong_renoise():
    class Louder(Gaussian):
        def renoise(self, x, s, t, noise):
            return super().renoise(x, s, t, 1.1 * noise)

    x0 = drawn(law(), 2000)
    assert not all(o.passed for o in markov(Louder(SCHEDULES["vp"]()), x0))


def test_quantiles_are_those_of_the_law():
    oracle = MixtureOracle(Gaussian(SCHEDULES["vp"]()), torch.tensor([[0.0], [3.0]]), torch.tensor([1.0, 0.25]))
    u = torch.tensor([[0.1], [0.5], [0.9]], dtype=F64)
    x = quantile(oracle, u, torch.zeros((), dtype=F64))
    components = torch.distributions.Normal(torch.tensor([0.0, 3.0], dtype=F64), torch.tensor([1.0, 0.5], dtype=F64))
    torch.testing.assert_close(components.cdf(x).mean(1, keepdim=True), u, rtol=1e-9, atol=1e-12)
    with pytest.raises(UserError, match="on the line"):
        quantile(law(), u, torch.zeros((), dtype=F64))
