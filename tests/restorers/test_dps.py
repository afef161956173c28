"""DPS: its gradient and both step sizes against the closed form of a normal law."""

from __future__ import annotations

import math

import pytest
import torch
from restore_cases import F64, PROCESS, gaussian, normal, run, spd, times

from pellucid.foundations.errors import UserError
from pellucid.operators import Mask, Matrix
from pellucid.restorers import DPS, Observation
from pellucid.solvers import SOLVERS

A = normal(4, 6, seed=1)
BLANK = torch.empty(0)


def step(method, y, noise, x, *, t=0.4, s=0.3):
    """One step of Euler's method around which DPS is wrapped, and without it."""
    observation = Observation(Matrix(A).on((6,)), y, noise)
    t, s = torch.tensor(t, dtype=F64), torch.tensor(s, dtype=F64)
    euler = SOLVERS["euler"]()
    found, _ = method.mover(euler, observation, times(10))(gaussian(), x, t, s, BLANK, None)
    return found, euler(gaussian(), x, t, s, BLANK, None)[0], t


def closed_form(y, x, t):
    """r and grad |r|^2 = -2 J' A' r, with J = alpha V (alpha^2 V + sigma^2)^-1 for the law N(m, V)."""
    alpha, sigma = PROCESS.schedule.alpha(t), PROCESS.schedule.sigma(t)
    variance = spd(6)
    jacobian = alpha * variance @ torch.linalg.inv(alpha**2 * variance + sigma**2 * torch.eye(6, dtype=F64))
    mean = normal(6, seed=4)
    residual = y - (mean + (x - alpha * mean) @ jacobian.T) @ A.T
    return residual, -2 * residual @ A @ jacobian


def test_the_papers_step():
    y, x = normal(3, 4, seed=6), normal(3, 6, seed=7)
    found, plain, t = step(DPS(zeta=0.3, capped=False), y, 0.1, x)
    residual, gradient = closed_form(y, x, t)
    expected = plain - 0.3 / residual.norm(dim=1, keepdim=True) * gradient
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_the_capped_step_is_at_most_polyaks():
    y, x, noise = normal(3, 4, seed=6), normal(3, 6, seed=7), 0.1
    # All four rows of A see something of their own, so m is four.
    for zeta in (0.01, 1e6):
        found, plain, t = step(DPS(zeta=zeta), y, noise, x)
        residual, gradient = closed_form(y, x, t)
        misfit = residual.square().sum(1, keepdim=True)
        polyak = (misfit - 4 * noise**2) / gradient.square().sum(1, keepdim=True)
        size = torch.minimum(zeta / misfit.sqrt(), polyak)
        torch.testing.assert_close(found, plain - size * gradient, rtol=1e-10, atol=1e-12)
    # No step where y is explained already.
    exact = gaussian()(x, torch.tensor(0.4, dtype=F64)) @ A.T
    found, plain, _ = step(DPS(), exact, noise, x)
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-14)


def test_the_default_counts_values_and_steps():
    y, x = normal(3, 4, seed=6), normal(3, 6, seed=7)
    found, _, _ = step(DPS(capped=False), y, 0.1, x)
    expected, _, _ = step(DPS(zeta=100 * math.sqrt(4) / 10, capped=False), y, 0.1, x)
    assert torch.equal(found, expected)


def test_what_a_mask_hides_does_not_count():
    """A lost value of y, whatever stands there, changes nothing."""
    operator = Mask(torch.tensor([1, 1, 0, 1, 0, 1])).on((6,))
    y = operator(normal(3, 6, seed=6))
    other = y + 5 * (1 - operator.kept)
    one, two = (run(DPS(), gaussian(), Observation(operator, each, 0.1)) for each in (y, other))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


def test_it_ends_with_a_misfit_of_the_noises_size():
    noise, count = 0.2, 400
    operator = Matrix(A).on((6,))
    law = gaussian()
    x0 = law.sample(normal(count, 6, seed=8), torch.rand(count, dtype=F64, generator=torch.Generator().manual_seed(1)))
    y = operator(x0) + noise * normal(count, 4, seed=9)
    x = run(DPS(), law, Observation(operator, y, noise), steps=50)
    size = (y - operator(x)).square().sum(1).mean() / (4 * noise**2)
    # The last step, along one gradient, starts below or at the expected size; it never has reason to overshoot by half.
    assert 0.5 < size < 1.5
    assert (x - x0).square().mean() < 0.8 * spd(6).diagonal().mean()  # better than a draw from the prior is by far


def test_a_step_needs_one_call_of_the_denoiser():
    calls = []

    class Counting:
        process = PROCESS

        def __call__(self, x, t):
            calls.append(t)
            return gaussian()(x, t)

    run(DPS(), Counting(), Observation(Matrix(A).on((6,)), normal(2, 4), 0.1), steps=7)
    assert len(calls) == 7


@pytest.mark.parametrize("zeta", [0.0, -1.0, float("nan")])
def test_a_step_size_must_be_positive(zeta):
    with pytest.raises(UserError, match="must be positive"):
        DPS(zeta=zeta)
