"""Every registered solver keeps the contract of solvers."""

from __future__ import annotations

import checks
import laws
import pytest

from pellucid.processes.gaussian import Gaussian
from pellucid.solvers import DDIM, DDPM, SOLVERS

LAWS = {"normal": laws.normal, "mixture": laws.Mixture}
VARIANTS = {name: SOLVERS[name]() for name in SOLVERS} | {
    "ddpm-large": DDPM(variance=1.0),
    "ddim-half": DDIM(eta=0.5),
    "ddim-full": DDIM(eta=1.0),
}
DETERMINISTIC = [name for name, solver in VARIANTS.items() if not solver.draws]
STOCHASTIC = [name for name, solver in VARIANTS.items() if solver.draws]
SCHEDULES = ("vp", "ve", "cosine", "rectified")


def make_law(kind, schedule):
    return LAWS[kind](Gaussian(checks.make_schedule(schedule)))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", LAWS)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_order_of_convergence(name, kind, schedule):
    checks.solver_order(VARIANTS[name], make_law(kind, schedule))


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
