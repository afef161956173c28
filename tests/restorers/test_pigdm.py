"""Pseudo-inverse guidance against the exact posterior mean, which it is where the law is a round normal one."""

from __future__ import annotations

import pytest
import torch
from restore_cases import F64, PROCESS, Opaque, normal

from pellucid.foundations.errors import UserError
from pellucid.operators import Downsample, Matrix
from pellucid.oracles import gaussian_oracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import Rectified
from pellucid.restorers import RESTORERS, Observation


def exact_mean(mean, covariance, matrix, x, y, t, noise, process=PROCESS):
    """E[x_0 | x_t, y] for x_0 ~ N(mean, covariance): x_t and y are one linear observation of x_0."""
    alpha, sigma = process.schedule.alpha(t), process.schedule.sigma(t)
    size = len(mean)
    seen = torch.cat([alpha / sigma * torch.eye(size, dtype=F64), matrix / noise])
    values = torch.cat([x / sigma, y / noise], 1)
    gain = covariance @ seen.T @ (seen @ covariance @ seen.T + torch.eye(len(seen), dtype=F64)).inverse()
    return mean + (values - seen @ mean) @ gain.T


@pytest.mark.parametrize("operator", [Matrix(normal(3, 6, seed=1)), Opaque(normal(3, 6, seed=1))])
@pytest.mark.parametrize("t", [1e-3, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("noise", [0.01, 0.5])
def test_a_round_normal_law_has_its_exact_posterior_mean(operator, t, noise):
    t = torch.tensor(t, dtype=F64)
    mean = normal(6, seed=4)
    law = gaussian_oracle(PROCESS, mean, torch.tensor(0.7, dtype=F64))
    x, y = normal(4, 6, seed=6), normal(4, 3, seed=7)
    seen = Observation(operator.on((6,)), y, noise)
    found = RESTORERS["pigdm"](data_variance=0.7).wrap(law, seen)(x, t)
    exact = exact_mean(mean, 0.7 * torch.eye(6, dtype=F64), operator.matrix, x, y, t, noise)
    # Round-off times the condition number of the observation, (0.7 |A|^2 + noise^2)/noise^2 < 1e6.
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-8)


def test_without_noise_the_estimate_meets_the_observation():
    pooled = Downsample(2).on((1, 4, 4))
    law = gaussian_oracle(PROCESS, normal(1, 4, 4, seed=4), torch.tensor(0.7, dtype=F64))
    seen = Observation(pooled, normal(3, 1, 2, 2, seed=8), 0.0)
    found = RESTORERS["pigdm"](data_variance=0.7).wrap(law, seen)(
        normal(3, 1, 4, 4, seed=9), torch.tensor(0.4, dtype=F64)
    )
    assert seen.residual(found).abs().max().item() < 1e-10


def test_a_wider_variance_trusts_the_observation_more():
    """With noise, r^2 decides how far the estimate goes: at v = 0.1 it stays short of the exact mean of v = 0.7."""
    law = gaussian_oracle(PROCESS, normal(6, seed=4), torch.tensor(0.7, dtype=F64))
    seen = Observation(Matrix(normal(3, 6, seed=1)).on((6,)), 3 * normal(4, 3, seed=7), 0.5)
    x, t = normal(4, 6, seed=6), torch.tensor(0.9, dtype=F64)
    free, narrow, wide = (
        f(x, t) for f in (law, *(RESTORERS["pigdm"](data_variance=v).wrap(law, seen) for v in (0.02, 0.7)))
    )
    assert (wide - free).norm() < (narrow - free).norm()  # r^2 stands in the denominator
    assert seen.residual(wide).norm() < seen.residual(free).norm()


def test_straight_paths_which_start_without_signal():
    process = Gaussian(Rectified())
    law = gaussian_oracle(process, normal(6, seed=4), torch.tensor(0.7, dtype=F64))
    seen = Observation(Matrix(normal(3, 6, seed=1)).on((6,)), normal(4, 3, seed=7), 0.1)
    for name in ("pigdm", "mmps", "tmpd"):
        assert RESTORERS[name]().wrap(law, seen)(normal(4, 6), torch.tensor(1.0, dtype=F64)).isfinite().all()


def test_refusals():
    with pytest.raises(UserError, match="positive"):
        RESTORERS["pigdm"](data_variance=0.0)

    class Tokens:
        process = object()

        def __call__(self, x, t):
            return x

    with pytest.raises(UserError, match="Gaussian process"):
        RESTORERS["pigdm"]().wrap(Tokens(), Observation(Matrix(normal(3, 6)).on((6,)), normal(1, 3), 0.1))
