"""DDRM against its published cases, written out for each direction, and against the one law where it is exact."""

from __future__ import annotations

import math

import pytest
import torch
from restore_cases import F64, PROCESS, Opaque, draws, gaussian, mixture, normal, run, times

from pellucid.foundations.errors import UserError
from pellucid.operators import Matrix
from pellucid.oracles import gaussian_oracle
from pellucid.restorers import DDRM, Observation

SCALES = torch.tensor([1.5, 0.6, 0.2], dtype=F64)
BASIS = torch.linalg.qr(normal(5, 5, seed=3))[0]
A = BASIS[:3] * SCALES[:, None]


@pytest.mark.parametrize(("eta", "eta_b"), [(0.85, 1.0), (0.5, 0.7), (0.0, 1.0)])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_every_step_is_kawars(eta, eta_b, noise):
    """Equations 7 and 8 of the paper for each right singular vector, in its units x/alpha, with its own loops."""
    operator, law = Matrix(A).on((5,)), mixture(5)
    y, grid = normal(2, 3, seed=9), times(6)
    states = []
    run(
        DDRM(eta, eta_b),
        law,
        Observation(operator, y, noise),
        steps=6,
        callback=lambda i, t, s, x: states.append((t, s, x)),
    )
    x = PROCESS.prior(draws((5,), 2, step=0)[0])
    system = operator.system
    for i, (t, s, found) in enumerate(states):
        assert (t, s) == (grid[i], grid[i + 1])
        alpha, sigma = PROCESS.schedule.alpha(t).item(), PROCESS.schedule.sigma(t).item()
        alpha_s, rho_s = (
            PROCESS.schedule.alpha(s).item(),
            (PROCESS.schedule.sigma(s) / PROCESS.schedule.alpha(s)).item(),
        )
        theta, state, z = system.v(law(x, t)), system.v(x / alpha), system.v(draws((5,), 2, step=i + 1)[0])
        new = torch.empty_like(theta)
        for b in range(2):
            for j in range(5):
                c, fresh = theta[b, j].item(), z[b, j].item()
                value = system.values[j].item()
                if value < 1e-9:
                    mean = c + math.sqrt(1 - eta**2) * rho_s * (state[b, j].item() - c) / (sigma / alpha)
                    spread = eta * rho_s
                else:
                    seen, level = system.u(y)[b, j].item() / value, noise / value
                    if rho_s < level:
                        mean = c + math.sqrt(1 - eta**2) * rho_s * (seen - c) / level
                        spread = eta * rho_s
                    else:
                        mean = (1 - eta_b) * c + eta_b * seen
                        spread = math.sqrt(rho_s**2 - level**2 * eta_b**2)
                new[b, j] = mean + spread * fresh
        torch.testing.assert_close(found, alpha_s * system.v_inverse(new), rtol=1e-9, atol=1e-10)
        x = found


def test_without_noise_independent_directions_end_in_the_posterior():
    """What is seen is met exactly; what is not is, with eta = 0, the probability-flow map of its own normal law."""
    count = 4000
    spread = torch.tensor([1.0, 0.8, 0.5, 0.3, 0.6], dtype=F64)
    covariance = BASIS.T @ torch.diag(spread.square()) @ BASIS
    law = gaussian_oracle(PROCESS, torch.zeros(5, dtype=F64), covariance)
    y = (normal(count, 5, seed=8) * spread)[:, :3] * SCALES
    x = run(DDRM(eta=0.0), law, Observation(Matrix(A).on((5,)), y), steps=60)
    torch.testing.assert_close(x @ A.T, y, rtol=0, atol=1e-12)
    # The map is affine: a start c_1 goes to spread c_1/sqrt(alpha_1^2 spread^2 + sigma_1^2), up to the order 1 of 60
    # steps, 0.03.
    one = torch.ones((), dtype=F64)
    alpha, sigma = PROCESS.schedule.alpha(one), PROCESS.schedule.sigma(one)
    start = (PROCESS.prior(draws((5,), count, step=0)[0]) @ BASIS.T)[:, 3:]
    expected = spread[3:] * start / (alpha**2 * spread[3:] ** 2 + sigma**2).sqrt()
    error = ((x @ BASIS.T)[:, 3:] - expected).square().mean(0).sqrt() / spread[3:]
    assert (error < 0.05).all()
    finer = run(DDRM(eta=0.0), law, Observation(Matrix(A).on((5,)), y), steps=240)
    better = ((finer @ BASIS.T)[:, 3:] - expected).square().mean(0).sqrt() / spread[3:]
    assert (better < error / 3).all()  # four times the steps: a quarter of the error


def test_it_needs_the_singular_system():
    observation = Observation(Opaque(A).on((5,)), normal(2, 3), 0.1)
    with pytest.raises(UserError, match=r"singular system.*Opaque.*ddnm\+, diffpir or dps"):
        run(DDRM(), gaussian(5), observation)


@pytest.mark.parametrize("options", [{"eta": 1.1}, {"eta_b": -0.1}, {"eta": float("nan")}])
def test_bad_options(options):
    with pytest.raises(UserError, match="between 0 and 1"):
        DDRM(**options)
