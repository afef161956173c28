"""Tikhonov: the posterior mean of a normal law, and the weight that the noise asks for."""

from __future__ import annotations

import pytest
import torch
from restore_cases import F64, PROCESS, Opaque, normal, run

from pellucid.foundations.errors import UserError
from pellucid.operators import Mask, Matrix
from pellucid.oracles import gaussian_oracle
from pellucid.restorers import Observation, Tikhonov
from pellucid.restorers.exact import posterior
from pellucid.restorers.within_range import within_range

A = normal(4, 6, seed=1)


@pytest.mark.parametrize("kind", [Matrix, Opaque])
def test_it_is_the_posterior_mean_of_a_normal_law(kind):
    variance, noise = 0.7, 0.3
    law = gaussian_oracle(PROCESS, torch.zeros(6, dtype=F64), torch.tensor(variance, dtype=F64))
    observation = Observation(kind(A).on((6,)), normal(3, 4), noise)
    x = run(Tikhonov(weight=noise**2 / variance), law, observation)
    torch.testing.assert_close(x, posterior(law, observation).mean(), rtol=0, atol=1e-10 if kind is Matrix else 1e-5)
    # And by a dense solve of the normal equations.
    left = A.T @ A + noise**2 / variance * torch.eye(6, dtype=F64)
    expected = torch.linalg.solve(left, A.T @ observation.y[..., None])[..., 0]
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-10 if kind is Matrix else 1e-5)


@pytest.mark.parametrize("kind", [Matrix, Opaque])
def test_without_a_weight_the_misfit_is_the_noises(kind):
    noise, tall = 0.2, normal(9, 6, seed=2)
    operator = kind(tall).on((6,))
    x0 = normal(4, 6, seed=8)
    y = operator(x0) + noise * normal(4, 9, seed=9)
    x = run(Tikhonov(), None, Observation(operator, y, noise))
    # Of nine values six can be explained; the other three are noise and no matter.
    explained = y @ (tall @ torch.linalg.pinv(tall)).T
    misfit = (explained - operator(x)).square().sum(1)
    # 64 random y show the rank to a relative sqrt(2/(6 64)) = 0.07.
    torch.testing.assert_close(
        misfit, torch.full((4,), 6 * noise**2, dtype=F64), rtol=1e-4 if kind is Matrix else 0.2, atol=0
    )
    assert (misfit.max() / misfit.min()).item() == pytest.approx(1, abs=1e-4)


def test_without_noise_it_is_the_pseudo_inverse():
    operator, y = Matrix(A).on((6,)), normal(3, 4)
    torch.testing.assert_close(
        run(Tikhonov(), None, Observation(operator, y)), y @ torch.linalg.pinv(A).T, rtol=0, atol=1e-12
    )


def test_an_item_smaller_than_its_noise_is_nothing():
    x = run(Tikhonov(), None, Observation(Matrix(A).on((6,)), 0.01 * normal(3, 4), 1.0))
    assert x.abs().max() < 1e-6


@pytest.mark.parametrize("kind", [Matrix, Opaque])
def test_what_can_be_explained(kind):
    tall = normal(9, 6, seed=2)
    tall[:, 5] = tall[:, 4]  # rank 5
    y = normal(3, 9)
    found, rank = within_range(Observation(kind(tall).on((6,)), y, 0.1))
    torch.testing.assert_close(found.y, y @ (tall @ torch.linalg.pinv(tall)).T, rtol=0, atol=1e-5)
    # The singular system gives the rank; 64 random y show it to sqrt(2 rank/64) = 0.4.
    assert rank == 5 if kind is Matrix else abs(rank - 5) < 3 * 0.4
    mask = Mask(torch.tensor([1, 0, 1])).on((3,))
    found, rank = within_range(Observation(mask, torch.tensor([[1.0, 9.0, 2.0]]), 0.1))
    assert found.y.tolist() == [[1, 0, 2]]
    assert rank == 2


def test_a_weight_must_be_positive():
    with pytest.raises(UserError, match="must be positive"):
        Tikhonov(weight=0.0)
