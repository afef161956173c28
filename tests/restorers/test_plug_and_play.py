"""Plug-and-play and RED with an exact denoiser of a normal law, where every fixed point is a linear system."""

from __future__ import annotations

import pytest
import torch
from restore_cases import F64, Opaque, gaussian, mixture, normal, run, spd

from pellucid.foundations.errors import UserError
from pellucid.operators import Mask, Matrix
from pellucid.restorers import RED, Observation, PlugAndPlay

A = normal(4, 6, seed=1)
EYE = torch.eye(6, dtype=F64)


def smoothed_mode(y, noise, rho, weight):
    """x with A'(A x - y)/noise^2 + weight (x - D(x))/rho^2 = 0, D(x) = m + V (V + rho^2)^-1 (x - m)."""
    mean, variance = normal(6, seed=4), spd(6)
    pull = weight * (EYE - variance @ torch.linalg.inv(variance + rho**2 * EYE)) / rho**2
    right = y @ A / noise**2 + mean @ pull.T
    return torch.linalg.solve(A.T @ A / noise**2 + pull, right.T).T


@pytest.mark.parametrize("kind", [Matrix, Opaque])
@pytest.mark.parametrize(("rho", "weight"), [(0.5, 1.0), (0.5, 0.3), (1.0, 1.0)])
def test_red_ends_where_its_two_forces_cancel(kind, rho, weight):
    noise, y = 0.3, normal(3, 4)
    observation = Observation(kind(A).on((6,)), y, noise)
    x = run(RED(weight=weight, noise_level=rho, iterations=400), gaussian(), observation)
    # The contraction is V/(V + rho^2) at most, 0.8: 400 steps leave nothing but conjugate gradients' tolerance.
    torch.testing.assert_close(x, smoothed_mode(y, noise, rho, weight), rtol=0, atol=1e-9 if kind is Matrix else 1e-4)


def test_with_weight_one_red_is_the_mode_of_the_smoothed_posterior():
    """The law with noise rho is N(m, V + rho^2 I); the mode given y solves its own normal equations."""
    noise, rho, y = 0.3, 0.5, normal(3, 4)
    precision = torch.linalg.inv(spd(6) + rho**2 * EYE)
    left = A.T @ A / noise**2 + precision
    expected = torch.linalg.solve(left, (y @ A / noise**2 + normal(6, seed=4) @ precision).T).T
    x = run(RED(noise_level=rho, iterations=400), gaussian(), Observation(Matrix(A).on((6,)), y, noise))
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-9)


def test_plug_and_play_at_one_level_has_the_same_fixed_point():
    """Its result is the denoiser's half of the pair: D of RED's x."""
    noise, rho, weight, y = 0.3, 0.5, 0.4, normal(3, 4)
    method = PlugAndPlay(weight=weight, noise_start=rho, noise_end=rho)
    z = run(method, gaussian(), Observation(Matrix(A).on((6,)), y, noise), steps=400)
    mean, variance = normal(6, seed=4), spd(6)
    x = smoothed_mode(y, noise, rho, weight)
    expected = mean + (x - mean) @ (variance @ torch.linalg.inv(variance + rho**2 * EYE)).T
    torch.testing.assert_close(z, expected, rtol=0, atol=1e-9)


def test_the_levels_fall_evenly_to_the_noise():
    levels = []

    class Watched:
        process = mixture(6).process

        def __call__(self, x, t):
            levels.append((self.process.schedule.sigma(t) / self.process.schedule.alpha(t)).item())
            return mixture(6)(x, t)

    seen = []
    observation = Observation(Matrix(A).on((6,)), normal(2, 4), 0.125)
    run(PlugAndPlay(noise_start=1.0), Watched(), observation, steps=4, callback=lambda i, t, s, x: seen.append(i))
    assert levels == pytest.approx([1, 0.5, 0.25, 0.125], rel=1e-9)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("method", [PlugAndPlay(), RED()])
def test_without_noise_the_observation_is_met(method):
    operator = Mask(torch.tensor([1, 1, 0, 1, 0, 0])).on((6,))
    y = operator(normal(3, 6))
    x = run(method, mixture(6), Observation(operator, y))
    torch.testing.assert_close(operator(x), y, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (PlugAndPlay, {"weight": 0.0}),
        (PlugAndPlay, {"noise_start": 0.1, "noise_end": 0.5}),
        (PlugAndPlay, {"noise_end": 0.0}),
        (RED, {"weight": -1.0}),
        (RED, {"noise_level": 0.0}),
        (RED, {"iterations": 0}),
    ],
)
def test_bad_options(method, options):
    with pytest.raises(UserError, match="positive"):
        method(**options)
