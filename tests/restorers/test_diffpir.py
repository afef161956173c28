"""DiffPIR: its proximal step is a minimum, its own step is the paper's."""

from __future__ import annotations

import pytest
import torch
from restore_cases import F64, PROCESS, draws, gaussian, mixture, normal, run, times

from pellucid.foundations.errors import UserError
from pellucid.operators import Matrix
from pellucid.restorers import DDNM, DiffPIR, Observation

A = normal(4, 6, seed=1)


@pytest.mark.parametrize("weight", [1.0, 7.0])
def test_the_estimate_solves_the_normal_equations(weight):
    """(A'A/noise^2 + weight/rho^2) z = A'y/noise^2 + weight x_0/rho^2, by a dense solve."""
    law, noise, t = gaussian(), 0.3, torch.tensor([0.2, 0.5, 0.9], dtype=F64)
    y, x = normal(3, 4, seed=6), normal(3, 6, seed=7)
    wrapped = DiffPIR(weight=weight).wrap(law, Observation(Matrix(A).on((6,)), y, noise))
    found, x0 = wrapped(x, t), law(x, t)
    for i in range(3):
        trust = weight * (PROCESS.schedule.alpha(t[i]) / PROCESS.schedule.sigma(t[i])) ** 2
        left = A.T @ A / noise**2 + trust * torch.eye(6, dtype=F64)
        expected = torch.linalg.solve(left, A.T @ y[i] / noise**2 + trust * x0[i])
        torch.testing.assert_close(found[i], expected, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(wrapped(x, t[i])[i], expected, rtol=1e-9, atol=1e-10)


def test_without_noise_it_is_ddnm():
    operator = Matrix(A).on((6,))
    observation = Observation(operator, operator(normal(3, 6)))
    one, two = (run(method, mixture(6), observation) for method in (DDNM(), DiffPIR(weight=3.0)))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-11)


def test_the_papers_step_and_its_share_of_noise():
    law, zeta, grid = gaussian(), 0.3, times(5)
    observation = Observation(Matrix(A).on((6,)), normal(2, 4), 0.2)
    states = []
    run(DiffPIR(zeta=zeta), law, observation, steps=5, callback=lambda i, t, s, x: states.append(x))
    wrapped = DiffPIR().wrap(law, observation)
    x = PROCESS.prior(draws((6,), 2, step=0)[0])
    for i, found in enumerate(states):
        (a, b), (c, d) = (PROCESS.scales(u, x) for u in (grid[i], grid[i + 1]))
        x0 = wrapped(x, grid[i])
        noise = (x - a * x0) / b
        x = c * x0 + d * ((1 - zeta) ** 0.5 * noise + zeta**0.5 * draws((6,), 2, step=i + 1)[0])
        torch.testing.assert_close(found, x, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("options", [{"weight": 0.0}, {"zeta": 1.5}, {"zeta": -0.1}])
def test_bad_options(options):
    with pytest.raises(UserError, match=r"weight must be positive|share of noise"):
        DiffPIR(**options)
