"""Every registered solver keeps the contract of solvers."""

from __future__ import annotations

import checks
import laws
import pytest

from pellucid.processes.gaussian import Gaussian
from pellucid.solvers import DDIM, DDPM, DEIS, ERSDE, SDE2, SOLVERS, Adams, AsinhAdams, Dopri5, SASolver

LAWS = {"normal": laws.normal, "mixture": laws.Mixture}
VARIANTS = {name: SOLVERS[name]() for name in SOLVERS} | {
    "ddpm-large": DDPM(variance=1.0),
    "ddim-half": DDIM(eta=0.5),
    "ddim-full": DDIM(eta=1.0),
    "adams-1": Adams(order=1),
    "adams-2": Adams(order=2),
    "adams-4": Adams(order=4),
    "deis-2": DEIS(order=2),
    "asinh-adams-1": AsinhAdams(steps=1),
    "asinh-adams-2": AsinhAdams(steps=2, scale=0.5),
    "asinh-adams-sde": AsinhAdams(eta=1.0),
    "sde-2-half": SDE2(eta=0.5),
    "sa-solver-predictor": SASolver(predictor=2, corrector=0),
    "sa-solver-half": SASolver(tau=0.5, predictor=3, corrector=4),
    "er-sde-1": ERSDE(stages=1),
    "er-sde-2": ERSDE(stages=2),
}
ADAPTIVE = ["dopri5"]  # the grid does not decide its error
BIASED = ["langevin"]  # its corrector's bias falls with the noise, not with the step; tests/solvers has its exact law
DETERMINISTIC = [name for name, solver in VARIANTS.items() if not solver.draws and name not in ADAPTIVE]
STOCHASTIC = [name for name, solver in VARIANTS.items() if solver.draws and name not in BIASED]
SCHEDULES = ("vp", "ve", "cosine", "rectified")


def make_law(kind, schedule):
    return LAWS[kind](Gaussian(checks.make_schedule(schedule)))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", LAWS)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_order_of_convergence(name, kind, schedule):
    checks.solver_order(VARIANTS[name], make_law(kind, schedule))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", LAWS)
def test_error_follows_the_tolerance(kind, schedule):
    checks.solver_meets_tolerance(lambda tolerance: Dopri5(rtol=tolerance, atol=tolerance), make_law(kind, schedule))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", STOCHASTIC)
def test_weak_order_on_normal_data(name, schedule):
    checks.solver_weak_order(VARIANTS[name], make_law("normal", schedule))


@pytest.mark.parametrize("schedule", ["vp", "rectified"])
@pytest.mark.parametrize("kind", LAWS)
@pytest.mark.parametrize("name", VARIANTS)
def test_reaches_the_data(name, kind, schedule):
    checks.solver_reaches_data(VARIANTS[name], make_law(kind, schedule))


@pytest.mark.parametrize("name", VARIANTS)
def test_an_item_depends_on_its_own_seed_alone(name):
    checks.solver_is_per_item(VARIANTS[name], make_law("mixture", "vp"))
