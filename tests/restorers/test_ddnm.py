"""DDNM: what was seen is met to round-off under every solver, and the rest is its formula."""

from __future__ import annotations

import pytest
import torch
from restore_cases import F64, Opaque, gaussian, mixture, normal, run, times

from pellucid.foundations.errors import UserError
from pellucid.operators import Matrix
from pellucid.processes.times import travel
from pellucid.restorers import DDNM, Observation
from pellucid.solvers import SOLVERS

A = normal(4, 6, seed=1)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_residual_is_at_round_off_under_every_solver(solver, dtype):
    operator = Matrix(A.to(dtype)).on((6,))
    y = operator(normal(3, 6, dtype=dtype))
    x = run(DDNM(), mixture(6, dtype=dtype), Observation(operator, y), solver=solver, steps=8)
    assert x.dtype == dtype
    # Two products of six terms of about 1, and a condition number of about 5: some tens of rounding errors.
    assert (y - operator(x)).abs().max() < 100 * torch.finfo(dtype).eps


def test_the_residual_without_a_singular_system():
    operator = Opaque(A).on((6,))
    y = operator(normal(3, 6))
    x = run(DDNM(), gaussian(), Observation(operator, y))
    # Each projection leaves conjugate gradients' tolerance of what was amiss, and the last estimate has two.
    assert (y - operator(x)).abs().max() < 1e-10


def test_each_estimate_is_moved_to_the_nearest_that_fits():
    law, operator = gaussian(), Matrix(A).on((6,))
    y, x, t = normal(3, 4), normal(3, 6, seed=7), torch.tensor(0.3, dtype=F64)
    wrapped = DDNM().wrap(law, Observation(operator, y))
    inverse = torch.linalg.pinv(A)
    expected = y @ inverse.T + law(x, t) @ (torch.eye(6, dtype=F64) - inverse @ A).T
    torch.testing.assert_close(wrapped(x, t), expected, rtol=1e-12, atol=1e-13)
    each = torch.full((3,), 0.3, dtype=F64)
    torch.testing.assert_close(wrapped(x, each), expected, rtol=1e-12, atol=1e-13)
    assert wrapped.process is law.process


def test_time_travel_is_a_grid_that_goes_back():
    grid = times(7)
    assert torch.equal(DDNM().grid(grid), grid)
    assert torch.equal(DDNM(travel_length=3, travel_repeats=2).grid(grid), travel(grid, length=3, repeats=2))
    seen = []
    operator = Matrix(A).on((6,))
    y = operator(normal(2, 6))
    method = DDNM(travel_length=2, travel_repeats=1)
    x = run(
        method, gaussian(), Observation(operator, y), steps=4, callback=lambda i, t, s, x: seen.append((t > s).item())
    )
    assert seen == [True, True, False, True, True] * 2
    assert (y - operator(x)).abs().max() < 1e-13


@pytest.mark.parametrize("options", [{"travel_length": 0}, {"travel_repeats": -1}])
def test_bad_travel_is_refused(options):
    with pytest.raises(UserError, match="time travel needs"):
        DDNM(**options)
