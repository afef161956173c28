"""What every registered restoration method must do, whatever it is; a new entry is tested with the others.

Each runs with its defaults, on vectors, signals and pictures, in both precisions, under a mask with noise (without,
where a method refuses noise).
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from restore_cases import F64, PROCESS, gaussian, mixture, normal, run

from pellucid.foundations.errors import UserError
from pellucid.guidance import Guided
from pellucid.operators import Mask, Matrix
from pellucid.restorers import RESTORERS, Observation

SHAPES = [(6,), (2, 8), (1, 8, 8)]
LABELS = torch.tensor([0, 1, 1])


def observe(shape, dtype=F64, *, count=3, noise=0.1):
    kept = (torch.arange(int(torch.tensor(shape).prod())) % 3 != 1).reshape(shape)
    operator = Mask(kept).on(shape)
    x0 = mixture(*shape, dtype=dtype).means[[0, 3, 4]][:count]
    return Observation(operator, operator(x0 + noise * normal(count, *shape, seed=9, dtype=dtype)), noise), x0


def made(name):
    """The method with its defaults, but for those that would take most of the time."""
    quick = {"latent-code": {"steps": 3, "iterations": 30, "restarts": 3}, "repaint": {"travel_repeats": 1}}
    return RESTORERS[name](**quick.get(name, {}))


def served(method, observation):
    """The observation, without its noise where the method takes y for exact."""
    try:
        method.check(observation)
    except UserError:
        observation = dataclasses.replace(observation, noise=0.0)
        method.check(observation)
    return observation


@pytest.mark.parametrize("name", RESTORERS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_restores_items_of_any_shape_in_their_precision(name, shape, dtype):
    method = made(name)
    observation, _ = observe(shape, dtype)
    observation = served(method, observation)
    x = run(method, mixture(*shape, dtype=dtype), observation)
    assert x.dtype == dtype
    assert x.shape == (3, *shape)
    assert not x.requires_grad
    # What was seen is met, as well as a method means to: far better than by the mean of the data.
    typical = (observation.y - observation.y.mean(0)).square().mean().sqrt()
    assert observation.residual(x).square().mean().sqrt() < 0.6 * typical


@pytest.mark.parametrize("name", RESTORERS)
def test_an_item_depends_on_its_own_id_alone(name):
    """Item i restored alone equals item i of a batch: to round-off, which iterations until a tolerance may stretch."""
    method = made(name)
    observation, _ = observe((2, 8))
    observation = served(method, observation)
    law = mixture(2, 8)
    together = run(method, law, observation, ids=[5, 6, 7], label=LABELS)
    for i in (1, 2):
        alone = dataclasses.replace(observation, y=observation.y[i : i + 1])
        x = run(method, law, alone, ids=[5 + i], label=LABELS[i : i + 1])
        torch.testing.assert_close(x[0], together[i], rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", RESTORERS)
def test_the_same_seed_gives_the_same_result(name):
    method = made(name)
    observation, _ = observe((6,))
    observation = served(method, observation)
    one, two = (run(method, mixture(6), observation) for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("name", [name for name, method in RESTORERS.items() if method().learned])
def test_conditions_reach_the_denoiser(name):
    asked = []

    class Strict:
        process = PROCESS

        def __call__(self, x, t, *, label):
            asked.append(label)
            return mixture(6)(x, t, label=label)

    method = made(name)
    observation, _ = observe((6,))
    observation = served(method, observation)
    x = run(method, Strict(), observation, steps=6, label=LABELS)
    assert asked
    torch.testing.assert_close(x, run(method, mixture(6), observation, steps=6, label=LABELS), rtol=0, atol=1e-12)
    # A label changes what is not seen.
    assert not torch.equal(x, run(method, mixture(6), observation, steps=6, label=1 - LABELS))


@pytest.mark.parametrize("name", [name for name, method in RESTORERS.items() if method().learned])
def test_it_runs_with_guidance(name):
    method = made(name)
    observation, _ = observe((6,))
    observation = served(method, observation)
    law = mixture(6)
    plain, same, strong = (
        run(method, denoiser, observation, steps=6, label=LABELS)
        for denoiser in (law, Guided(law, 1.0, {"label": -1}), Guided(law, 3.0, {"label": -1}))
    )
    torch.testing.assert_close(plain, same, rtol=0, atol=1e-12)
    assert strong.isfinite().all()
    assert not torch.equal(plain, strong)


@pytest.mark.parametrize("name", [name for name, method in RESTORERS.items() if not method().learned])
def test_a_classical_method_asks_no_denoiser(name):
    observation, _ = observe((6,))
    assert run(made(name), None, observation).isfinite().all()


@pytest.mark.parametrize("name", RESTORERS)
def test_it_serves_a_matrix_or_says_why_not(name):
    method = made(name)
    observation = Observation(Matrix(normal(4, 6, seed=1)).on((6,)), normal(3, 4), 0.1)
    refusal = None
    try:
        method.check(observation)
    except UserError as error:
        refusal = str(error)
    if refusal is None:
        assert run(method, gaussian(), observation).isfinite().all()
    else:
        assert ": use " in refusal  # another method, by name


@pytest.mark.parametrize(
    "solver", ["euler", "heun", "dpmpp-2m", "unipc-3", "dopri5", "ancestral", "edm-churn", "sa-solver"]
)
@pytest.mark.parametrize("name", [name for name, method in RESTORERS.items() if method().learned])
def test_it_runs_under_every_kind_of_solver(name, solver):
    method = made(name)
    observation, _ = observe((6,))
    observation = served(method, observation)
    x = run(method, mixture(6), observation, solver=solver, steps=12)
    typical = (observation.y - observation.y.mean(0)).square().mean().sqrt()
    assert observation.residual(x).square().mean().sqrt() < 0.8 * typical


@pytest.mark.parametrize("name", RESTORERS)
def test_its_options_are_frozen_and_it_says_what_it_claims(name):
    method = made(name)
    assert isinstance(method.posterior, bool)
    assert method.learned or not method.posterior
    for option in dataclasses.fields(method):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(method, option.name, None)
        break


@pytest.mark.parametrize(
    ("y", "noise", "says"),
    [
        (torch.zeros(2, 5), 0.1, r"has the shape \(5,\)"),
        (torch.zeros(2, 4), -0.1, "at least 0"),
        (torch.zeros(2, 4), float("nan"), "at least 0"),
        (torch.zeros(2, 4), float("inf"), "finite"),
        (torch.full((2, 4), float("nan")), 0.1, "not finite"),
        (torch.full((2, 4), float("inf")), 0.1, "not finite"),
    ],
)
def test_a_bad_observation_is_refused(y, noise, says):
    with pytest.raises(UserError, match=says):
        Observation(Matrix(normal(4, 6)).on((6,)), y, noise)


def test_an_operator_without_a_shape_is_refused():
    with pytest.raises(UserError, match=r"use \.on\(shape\)"):
        Observation(Mask(torch.ones(6)), torch.zeros(2, 6), 0.1)


def test_an_unknown_method_is_named_with_its_neighbour():
    with pytest.raises(UserError, match="did you mean 'ddrm'"):
        RESTORERS["ddrn"]
