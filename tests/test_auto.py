"""The chosen number of steps is the fewest that keeps the tolerance, measured independently."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pellucid.auto import LADDER, Paths, auto_steps
from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import subseed
from pellucid.generate import sample
from pellucid.model import Model
from pellucid.processes.times import GRIDS
from pellucid.solvers import RK4, SOLVERS, Heun, Solver
from pellucid.solvers import sample as integrate
from pellucid.solvers.fitted import Fitted

from .small import untrained


@pytest.fixture(scope="module")
def model() -> Model:
    # Small weights: a function as smooth as a trained one's, so that few steps can be enough.
    found = untrained((1, 8, 8), width=8, solver="dpmpp-2m", grid="karras")
    for weight in found.denoiser.parameters():
        weight.mul_(0.7)
    return found


def error(model: Model, steps: int, solver: Solver, grid: str) -> float:
    """As `auto_steps` should measure it, but against a one-step method on a grid of its own."""
    paths = Paths(model, 16, subseed(0, "auto"))
    schedule = model.denoiser.process.schedule
    end = integrate(paths.denoiser(), paths.start, GRIDS[grid](schedule, steps), solver)
    exact = integrate(paths.denoiser(), paths.start, GRIDS["asinh"](schedule, 150), RK4())
    return (end - exact).flatten(1).square().mean(1).sqrt().median().item()


@pytest.mark.parametrize("tolerance", [0.02, 0.008])
def test_it_is_the_fewest_steps_within_the_tolerance(model: Model, tolerance: float) -> None:
    chosen = auto_steps(model, tolerance=tolerance)
    assert chosen.steps in LADDER
    assert chosen.error <= tolerance
    # The references differ by their own errors, far below the tolerances.
    assert chosen.error == pytest.approx(error(model, chosen.steps, SOLVERS["dpmpp-2m"](), "karras"), abs=5e-4)
    assert chosen.fewer is not None
    assert chosen.fewer[0] == LADDER[LADDER.index(chosen.steps) - 1]
    assert chosen.fewer[1] == pytest.approx(error(model, chosen.fewer[0], SOLVERS["dpmpp-2m"](), "karras"), abs=5e-4)
    assert chosen.fewer[1] > tolerance
    assert f"{chosen.steps} steps of dpmpp-2m" in chosen.sentence()
    assert f"{chosen.fewer[0]} steps end at" in chosen.sentence()


def test_a_tolerance_out_of_reach_is_said(model: Model) -> None:
    chosen = auto_steps(model, tolerance=1e-9, solver="euler", num_paths=2)
    assert chosen.error > 1e-9
    assert "no number of steps" in chosen.sentence()
    assert chosen.steps == 80


def test_samples_with_auto_are_those_of_the_chosen_steps(model: Model) -> None:
    steps = auto_steps(model, tolerance=0.05, guidance=1.0).steps
    automatic = sample(model, 3, steps="auto", tolerance=0.05, guidance=1.0)
    assert torch.equal(automatic, sample(model, 3, steps=steps, guidance=1.0))


def test_any_solver_is_served(model: Model) -> None:
    chosen = auto_steps(model, tolerance=0.05, solver=Heun(), grid="asinh")
    assert chosen.solver == "Heun"
    assert chosen.error == pytest.approx(error(model, chosen.steps, Heun(), "asinh"), abs=5e-4)


def test_fitted_solvers_are_chosen_among_those_there_are(model: Model) -> None:
    poor = Fitted((1.0, 0.0), ((0.0, 1.0),))
    times = GRIDS["asinh"](model.denoiser.process.schedule, 3).tolist()
    better = Fitted(tuple(times), ((0.1, 0.9), (0.1, 0.9), (0.0, 1.0)))
    tuned = replace(model, fitted={1: poor, 3: better})
    chosen = auto_steps(tuned, tolerance=1e-6, solver="fitted")
    assert chosen.steps in (1, 3)
    assert chosen.solver == "fitted"
    with pytest.raises(UserError, match="Fit one: pellucid tune"):
        auto_steps(model, solver="fitted")


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan"), float("inf")])
def test_a_tolerance_that_means_nothing_is_refused(model: Model, tolerance: float) -> None:
    with pytest.raises(UserError, match="tolerance must be a positive number"):
        auto_steps(model, tolerance=tolerance)


def test_a_stochastic_solver_is_refused(model: Model) -> None:
    with pytest.raises(UserError, match="deterministic"):
        auto_steps(model, solver="ancestral")
