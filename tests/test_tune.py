"""Fitted solvers of a model: better than its default on other paths, kept beside its weights, used by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pellucid.auto import Paths
from pellucid.foundations.errors import UserError
from pellucid.generate import sample
from pellucid.model import TUNED, load, save
from pellucid.processes.times import GRIDS
from pellucid.solvers import RK4
from pellucid.solvers import sample as integrate
from pellucid.tune import Tuned, save_tuned, tune, usual_solver

from .small import untrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = untrained((1, 8, 8), width=8, solver="dpmpp-2m", grid="karras", guidance=1.5)
    for weight in model.denoiser.parameters():
        weight.mul_(0.7)
    path = tmp_path_factory.mktemp("tune") / "model"
    save(model, path)
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[int, Tuned]:
    return tune(load(folder, device="cpu"), [6, 4], num_paths=32, calls=150)


def test_it_halves_the_error_on_other_paths(folder: Path, found: dict[int, Tuned]) -> None:
    assert list(found) == [4, 6]
    model = load(folder, device="cpu")
    paths = Paths(model, 24, 99)
    schedule = model.denoiser.process.schedule
    exact = integrate(paths.denoiser(), paths.start, GRIDS["asinh"](schedule, 150), RK4())

    def median(end: torch.Tensor) -> float:
        return (end - exact).flatten(1).square().mean(1).sqrt().median().item()

    for steps, tuned in found.items():
        own = median(integrate(paths.denoiser(), paths.start, tuned.solver.grid, tuned.solver))
        assert own < 0.5 * tuned.usual
        # Medians over 16 and over 24 other paths of the same law.
        assert 0.5 < own / tuned.error < 2, steps


def test_kept_beside_the_model_and_used_by_name(folder: Path, found: dict[int, Tuned]) -> None:
    model = load(folder, device="cpu")
    assert save_tuned(model, folder, {4: found[4]}) == folder / TUNED
    save_tuned(load(folder, device="cpu"), folder, {6: found[6]})
    again = load(folder, device="cpu")
    assert dict(again.fitted) == {steps: tuned.solver for steps, tuned in found.items()}
    made = sample(again, 2, solver="fitted", steps=6)
    assert torch.equal(made, sample(replace(model, fitted={6: found[6].solver}), 2, solver="fitted", steps=6))
    with pytest.raises(UserError, match=r"no fitted solver of 5 steps; there are: 4, 6"):
        sample(again, 1, solver="fitted", steps=5)


def test_solvers_of_other_weights_are_left_aside_and_a_damaged_file_is_refused(
    folder: Path, found: dict[int, Tuned]
) -> None:
    model = load(folder, device="cpu")
    path = save_tuned(model, folder, found)
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "weights": "0" * 64}))
    assert load(folder, device="cpu").fitted == {}
    rising = {**values["solvers"]["4"], "times": values["solvers"]["4"]["times"][::-1]}
    for damaged in (
        path.read_text()[:100],
        "[]",
        json.dumps({"weights": values["weights"]}),
        json.dumps({**values, "solvers": {"four": values["solvers"]["4"]}}),
        json.dumps({**values, "solvers": {"4": {"times": [1, 0]}}}),
        json.dumps({**values, "solvers": {"4": {"times": "ab", "weights": [[1, 2]]}}}),
        json.dumps({**values, "solvers": {"4": rising}}),
        json.dumps({**values, "solvers": {"5": values["solvers"]["4"]}}),
    ):
        path.write_text(damaged)
        with pytest.raises(UserError, match=r"tuned\.json.*tune"):
            load(folder, device="cpu")
    path.unlink()


def test_the_usual_solver_is_never_a_fitted_one(folder: Path) -> None:
    model = load(folder, device="cpu")
    assert usual_solver(model) == "dpmpp-2m"
    card = replace(model.card, sampling=model.card.sampling.model_copy(update={"solver": "fitted"}))
    assert usual_solver(replace(model, card=card)) == "asinh-adams"


@pytest.mark.parametrize(
    ("steps", "paths", "told"), [([], 16, "at least 2"), ([8, 1], 16, "at least 2"), ([4], 3, "at least 8")]
)
def test_refusals(folder: Path, steps: list[int], paths: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        tune(load(folder, device="cpu"), steps, num_paths=paths)
