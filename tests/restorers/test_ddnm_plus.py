"""DDNM+: DDNM without noise; with it, the state's noise is what the denoiser believes, up to an exact posterior."""

from __future__ import annotations

import pytest
import torch
from restore_cases import F64, PROCESS, Opaque, gaussian, mixture, normal, run

from pellucid.operators import Identity, Matrix
from pellucid.oracles import gaussian_oracle
from pellucid.restorers import DDNM, DDNMPlus, Observation
from pellucid.restorers.frames import amplification, frame
from pellucid.solvers import SOLVERS

A = normal(4, 6, seed=1)


@pytest.mark.parametrize("solver", SOLVERS)
def test_without_noise_it_is_ddnm_bit_for_bit(solver):
    operator = Matrix(A).on((6,))
    observation = Observation(operator, operator(normal(3, 6)))
    one, two = (run(method, mixture(6), observation, solver=solver, steps=6) for method in (DDNM(), DDNMPlus()))
    assert torch.equal(one, two)


@pytest.mark.parametrize("solver", ["ancestral", "ddim", "dpmpp-2m"])
@pytest.mark.parametrize("kind", [Matrix, Opaque])
def test_with_noise_that_vanishes_it_goes_to_ddnm(solver, kind):
    operator = kind(A).on((6,))
    y = operator(normal(3, 6))
    # On the last step, to t = 0, the noise of y is let go of: there the estimate stands for y, so all but it is tested.
    states = {0.0: [], 1e-9: []}
    for noise, seen in states.items():
        run(
            DDNMPlus(),
            gaussian(),
            Observation(operator, y, noise),
            solver=solver,
            callback=lambda *a, s=seen: s.append(a[3]),
        )
    for a, b in list(zip(*states.values(), strict=True))[:-1]:
        # What y sees follows (2), without noise the bridge or the deterministic move, as these solvers have it.
        # Conjugate gradients leave their tolerance.
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5 if kind is Opaque else 1e-7)


@pytest.mark.parametrize("solver", ["ancestral", "euler"])
@pytest.mark.parametrize("kind", [Matrix, Opaque])
def test_the_states_noise_is_what_the_denoiser_believes(solver, kind):
    """Given x_0, what y sees of x_s is normal about alpha_s x_0 with variance sigma_s^2, y's own noise included."""
    count, noise = 20_000, 0.4
    # Orthogonal rows of unequal length, or of equal length where one number must do for all.
    scales = torch.tensor([0.5, 1.0, 2.0], dtype=F64) if kind is Matrix else torch.full((3,), 0.5, dtype=F64)
    matrix = torch.linalg.qr(normal(5, 5, seed=3))[0][:3] * scales[:, None]
    operator = kind(matrix).on((5,))
    x0 = normal(1, 5, seed=8)
    y = operator(x0) + noise * normal(count, 3, seed=9)
    checked = 0

    def follow(i, t, s, x):
        nonlocal checked
        alpha, sigma = PROCESS.schedule.alpha(s), PROCESS.schedule.sigma(s)
        c = (x - alpha * x0) @ matrix.T / scales
        for j in range(3):
            if sigma / alpha > noise / scales[j]:
                checked += 1
                # Four standard errors of a mean and of a variance; the start's law is off by alpha_1 x_0 < 0.02 sigma.
                assert abs(c[:, j].mean()) < (4 / count**0.5 + 0.02) * sigma
                assert abs(c[:, j].var() / sigma**2 - 1) < 4 * (2 / count) ** 0.5

    run(DDNMPlus(), gaussian(5), Observation(operator, y, noise), solver=solver, steps=15, callback=follow)
    assert checked > 15


@pytest.mark.parametrize("operator", [Identity(), Matrix(torch.diag(torch.tensor([2.0, 1.0, 0.5, 0.0], dtype=F64)))])
def test_independent_directions_end_in_the_posterior(operator):
    """A normal law whose axes are the singular directions: the result is a draw from p(x_0 given y)."""
    count, noise = 20_000, 0.5
    operator = operator.on((4,))
    variances = torch.tensor([1.0, 0.5, 1.0, 0.7], dtype=F64)
    law = gaussian_oracle(PROCESS, torch.zeros(4, dtype=F64), variances)
    x0 = variances.sqrt() * normal(count, 4, seed=8)
    y = operator(x0) + noise * normal(count, 4, seed=9)
    x = run(DDNMPlus(), law, Observation(operator, y, noise), solver="sde-2", steps=150)
    s = torch.diag(operator(torch.eye(4, dtype=F64)))
    gain = variances * s / (s.square() * variances + noise**2)
    expected = variances * (1 - gain * s)
    rest = x - gain * y
    # Four standard errors, and the bias of 150 steps, under 0.01 of the variance (50 steps have 0.05, 15 have 0.37).
    assert ((rest.var(0) / expected - 1).abs() < 4 * (2 / count) ** 0.5 + 0.015).all()
    assert (rest.mean(0).abs() < 4 * (expected / count).sqrt() + 0.01).all()
    assert ((rest * y).mean(0).abs() < 4 * (expected * y.var(0) / count).sqrt() + 0.01).all()


def test_one_level_for_all_is_the_singular_system_where_all_values_are_equal():
    matrix = 0.7 * torch.linalg.qr(normal(6, 6, seed=3))[0][:4]
    y = normal(3, 4)
    results = [run(DDNMPlus(), mixture(6), Observation(kind(matrix).on((6,)), y, 0.2)) for kind in (Matrix, Opaque)]
    torch.testing.assert_close(*results, rtol=0, atol=1e-5)  # of conjugate gradients, over twelve steps
    assert amplification(Opaque(matrix).on((6,)), y) == pytest.approx(0.7**-2, rel=1e-5)


@pytest.mark.parametrize("kind", [Matrix, Opaque])
def test_coordinates_there_and_back(kind):
    operator = kind(A).on((6,))
    x = normal(3, 6, seed=2)
    found = frame(Observation(operator, operator(x), 0.1))
    torch.testing.assert_close(found.back(found.to(x)), x, rtol=0, atol=1e-12)
    # What y sees of x are the coordinates of x themselves, where there is no noise in it.
    seen = found.variance.isfinite().expand_as(found.to(x)[0])
    torch.testing.assert_close(found.seen[:, seen], found.to(x)[:, seen], rtol=0, atol=1e-5)
    if kind is Matrix:
        kept = found.variance.isfinite()
        singular = torch.linalg.svdvals(A)
        torch.testing.assert_close(
            found.variance[kept].sort().values, (0.1 / singular).square().sort().values, rtol=1e-10, atol=0
        )
