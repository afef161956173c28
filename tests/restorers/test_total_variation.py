"""Total variation against closed forms, an independent solver of its dual, and duality itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from restore_cases import F64, normal, run
from scipy.optimize import minimize

from pellucid.foundations.errors import UserError
from pellucid.operators import HalfPlane, Identity, Mask, Matrix
from pellucid.restorers import Observation, TotalVariation
from pellucid.restorers.total_variation import back, differences

FINE = {"iterations": 20_000, "tolerance": 1e-9}


def test_two_pieces_shrink_towards_one_another():
    """For y = a on n places and b > a on m: the pieces move by weight/n and weight/m, until they meet."""
    y = torch.tensor([0.0] * 6 + [1.0] * 4, dtype=F64)[None]
    observation = Observation(Identity().on((10,)), y)
    x = run(TotalVariation(weight=0.6, **FINE), None, observation)
    expected = torch.tensor([0.1] * 6 + [0.85] * 4, dtype=F64)[None]
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-6)
    x = run(TotalVariation(weight=10.0, **FINE), None, observation)
    torch.testing.assert_close(x, torch.full_like(y, 0.4), rtol=0, atol=1e-6)


def test_the_noise_chooses_the_weight():
    """The same two pieces: the misfit is weight sqrt(1/n + 1/m), so a noise of that over sqrt(10) asks for it."""
    y = torch.tensor([0.0] * 6 + [1.0] * 4, dtype=F64)[None]
    noise = 0.6 * (1 / 6 + 1 / 4) ** 0.5 / 10**0.5
    x = run(TotalVariation(**FINE), None, Observation(Identity().on((10,)), y, noise))
    expected = torch.tensor([0.1] * 6 + [0.85] * 4, dtype=F64)[None]
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-5)


def test_a_signal_against_its_dual():
    """min |y - D'u|^2/2 over |u| <= weight by scipy's bounded quasi-Newton method; then x = y - D'u."""
    size, weight = 40, 0.3
    y = normal(1, size).cumsum(1) / 3
    matrix = torch.diff(torch.eye(size, dtype=F64), dim=0).numpy()
    target = y[0].numpy()
    solved = minimize(
        lambda u: (0.5 * np.sum((target - matrix.T @ u) ** 2), -matrix @ (target - matrix.T @ u)),
        np.zeros(size - 1),
        jac=True,
        bounds=[(-weight, weight)] * (size - 1),
        method="L-BFGS-B",
        options={"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-10},
    )
    expected = torch.from_numpy(target - matrix.T @ solved.x)[None]
    x = run(TotalVariation(weight=weight, **FINE), None, Observation(Identity().on((size,)), y))
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-5)


def test_a_picture_behind_a_matrix_has_no_duality_gap():
    """The data's force on x must be -weight D'u with lengths of u at most 1, and 1 along x's own gradient."""
    shape, weight = (2, 5, 6), 0.2
    matrix = torch.eye(60, dtype=F64) + 0.2 * normal(60, 60, seed=2)
    y = normal(1, 60, seed=3)
    operator = Matrix(matrix).on(shape)
    x = run(TotalVariation(weight=weight, **FINE), None, Observation(operator, y))
    force = (y - operator(x)) @ matrix / weight
    d = differences(x, 2)
    length = d.square().sum((1, 2)).sqrt().sum()
    # <force, x> = R(x) at a minimiser (R is of degree 1)...
    assert abs((force * x.flatten(1)).sum() - length) < 1e-4 * length
    # ... and no other direction gains: R(z) >= <force, z>.
    for seed in range(20):
        z = normal(1, *shape, seed=100 + seed) + 3 * x * (seed % 2)
        assert differences(z, 2).square().sum((1, 2)).sqrt().sum() >= (force * z.flatten(1)).sum() - 1e-6


@pytest.mark.parametrize(("shape", "axes"), [((7,), 1), ((2, 7), 1), ((3, 4, 5), 2)])
def test_differences_and_their_adjoint(shape, axes):
    x, d = normal(2, *shape), normal(2, axes, *shape, seed=1)
    torch.testing.assert_close((differences(x, axes) * d).sum(), (x * back(d, axes)).sum(), rtol=1e-12, atol=1e-12)
    assert differences(torch.ones(1, *shape, dtype=F64), axes).abs().max() == 0
    ramp = torch.arange(shape[-1], dtype=F64).expand(1, *shape)
    assert torch.equal(differences(ramp, axes)[:, -1, ..., :-1], torch.ones_like(ramp[..., :-1]))


def test_a_gap_is_filled_by_what_varies_least():
    """A ramp with a gap: any rise from 3 to 6 has the same variation, and none has less."""
    y = torch.arange(10, dtype=F64)[None]
    mask = torch.tensor([1, 1, 1, 1, 0, 0, 1, 1, 1, 1])
    operator = Mask(mask).on((10,))
    x = run(TotalVariation(**FINE), None, Observation(operator, operator(y)))
    torch.testing.assert_close(operator(x), operator(y), rtol=0, atol=1e-5)
    assert x.diff().abs().sum() == pytest.approx(9, abs=1e-4)


def test_what_stands_where_a_picture_is_lost_is_no_matter():
    operator = HalfPlane().on((1, 6, 6))
    y = operator(normal(1, 1, 6, 6))
    scribbled = y + 7 * (1 - operator.kept)
    one, two = (run(TotalVariation(), None, Observation(operator, each, 0.05)) for each in (y, scribbled))
    assert torch.equal(one, two)


@pytest.mark.parametrize("options", [{"weight": 0.0}, {"iterations": 0}, {"tolerance": -1.0}])
def test_bad_options(options):
    with pytest.raises(UserError, match=r"positive|iterations >= 1"):
        TotalVariation(**options)
