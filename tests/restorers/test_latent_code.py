"""Latent codes where the generator is affine, so that the best code is a ridge regression."""

from __future__ import annotations

import pytest
import torch
from restore_cases import F64, PROCESS, gaussian, mixture, normal, run

from pellucid.foundations.errors import UserError
from pellucid.operators import Matrix
from pellucid.processes.times import GRIDS
from pellucid.restorers import LatentCode, Observation
from pellucid.restorers.latent_code import generate
from pellucid.solvers import Euler, sample

A = normal(4, 6, seed=1)


def test_the_generator_is_the_sampler():
    w = normal(3, 6, seed=2)
    grid = GRIDS["asinh"](PROCESS.schedule, 6)
    expected = sample(mixture(6), PROCESS.prior(w), grid, Euler())
    assert torch.equal(generate(mixture(6), w, 6, {}), expected)


def test_its_derivative_is_that_of_differences():
    w, direction, h = normal(1, 6, seed=2), normal(1, 6, seed=3), 1e-5
    leaf = w.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(generate(mixture(6), leaf, 4, {}).sum(), leaf)
    up, down = (generate(mixture(6), w + sign * h * direction, 4, {}).sum() for sign in (1, -1))
    torch.testing.assert_close((gradient * direction).sum(), (up - down) / (2 * h), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("weight", [None, 0.5])
def test_an_affine_generator_gives_ridge_regression(weight):
    noise, law, y = 0.4, gaussian(), normal(3, 4)
    x = run(LatentCode(steps=3, iterations=400, weight=weight), law, Observation(Matrix(A).on((6,)), y, noise))
    # G(w) = G w + g, read off column by column.
    offset = generate(law, torch.zeros(1, 6, dtype=F64), 3, {})
    columns = (generate(law, torch.eye(6, dtype=F64), 3, {}) - offset).T
    seen = A @ columns
    ridge = noise**2 if weight is None else weight
    left = seen.T @ seen + ridge * torch.eye(6, dtype=F64)
    w = torch.linalg.solve(left, ((y - offset @ A.T) @ seen).T).T
    # The condition number is 14: Adam's method leaves some 1e-5 after 300 steps.
    torch.testing.assert_close(x, w @ columns.T + offset, rtol=0, atol=1e-4)


def test_more_starts_never_end_higher():
    law = mixture(6)
    observation = Observation(Matrix(A[:2]).on((6,)), law.means[:4] @ A[:2].T, 0.1)

    def misfit(restarts):
        x = run(LatentCode(iterations=40, restarts=restarts, weight=0.0), law, observation)
        return observation.residual(x).square().sum(1)

    one, three = misfit(1), misfit(3)
    assert (three <= one + 1e-12).all()
    assert (three < one).any()


def test_it_leaves_no_gradients_behind():
    class Scaled(torch.nn.Module):
        process = PROCESS

        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(0.9, dtype=F64))

        def forward(self, x, t, **cond):
            return self.scale * gaussian()(x, t)

    model = Scaled()
    x = run(LatentCode(iterations=3), model, Observation(Matrix(A).on((6,)), normal(2, 4), 0.1))
    assert model.scale.grad is None
    assert not x.requires_grad


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"iterations": 0}, {"restarts": 0}, {"learning_rate": 0.0}, {"weight": -1.0}]
)
def test_bad_options(options):
    with pytest.raises(UserError, match=r"at least 1|0 or more"):
        LatentCode(**options)
