"""Forecasts and filled gaps of a Gaussian process, whose conditional law is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pellucid import UserError
from pellucid.series.forecast import LEVELS, fill, forecast, quantile
from pellucid.series.score import Forecasts

from .exact import conditional, gaussian_model, kernel

LENGTH, SEEN = 12, 8
OFFSET, UNIT = 50.0, 4.0


def process(count, seed=0):
    """Series of the Gaussian process in its own units, (count, 1, LENGTH)."""
    root = torch.linalg.cholesky(kernel(LENGTH))
    white = torch.randn(count, LENGTH, generator=torch.Generator().manual_seed(seed))
    return OFFSET + UNIT * (white @ root.T)[:, None]


@pytest.fixture(scope="module")
def model():
    return gaussian_model(torch.zeros(1, LENGTH), kernel(LENGTH), offset=OFFSET, unit=UNIT)


@pytest.fixture(scope="module")
def drawn(model):
    real = process(80)
    return real, forecast(model, real[..., :SEEN], LENGTH - SEEN, samples=48)


def test_the_law_of_a_forecast(drawn):
    """Mean and covariance of the draws are those of x_b given x_a. Over 80 * 48 draws a standardised mean has the error
    1/sqrt(3840) = 0.016 and an entry of the covariance about 0.02; the solver's own 2 % come on top."""
    real, found = drawn
    gain, cov = conditional(kernel(LENGTH), torch.arange(LENGTH) < SEEN)
    past = (real[:, 0, :SEEN] - OFFSET) / UNIT
    gap = (found.samples[:, :, 0] - OFFSET) / UNIT - (past @ gain.T)[:, None]
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(cov), gap.flatten(0, 1).T, upper=False)
    assert white.mean(1).abs().max() < 0.07
    torch.testing.assert_close(white @ white.T / white.shape[1], torch.eye(LENGTH - SEEN), rtol=0, atol=0.12)
    assert found.samples.shape == (80, 48, 1, LENGTH - SEEN)
    assert found.seen.isnan().all()


def test_the_quantiles_cover_what_they_say_and_crps_is_that_of_the_law(drawn):
    """Intervals of 90 % and 50 % hold 90 % and 50 % of 320 truths, whose steps go together (about 80 that do not): the
    standard errors are 0.034 and 0.056. A forecaster that knows the law expects the CRPS s/sqrt(pi), s its spread."""
    real, found = drawn
    whole = Forecasts((real - OFFSET) / UNIT, (found.samples - OFFSET) / UNIT, 0)
    ahead = Forecasts(whole.real[..., SEEN:], whole.samples, 0)
    assert ahead.coverage(0.9).value == pytest.approx(0.9, abs=0.1)
    assert ahead.coverage(0.5).value == pytest.approx(0.5, abs=0.17)
    _, cov = conditional(kernel(LENGTH), torch.arange(LENGTH) < SEEN)
    expected = (cov.diagonal().sqrt().mean() / math.pi**0.5).item()
    crps = ahead.crps()
    assert crps.low is not None
    assert crps.high is not None
    assert crps.value == pytest.approx(expected, abs=2 * (crps.high - crps.low))


def test_gaps_in_each_channel_for_itself():
    """Two channels that are one and the same but for a little noise: what one lacks is read off the other."""
    both = torch.tensor([[1.0, 0.999], [0.999, 1.0]])
    model = gaussian_model(torch.zeros(2, 6), torch.kron(both, kernel(6)))
    root = torch.linalg.cholesky(torch.kron(both, kernel(6)))
    white = torch.randn(3, 12, generator=torch.Generator().manual_seed(1))
    real = (white @ root.T).reshape(3, 2, 6)
    holed = real.clone()
    holed[0, 0, 1:4] = holed[1, 1, 2:] = math.nan
    found = fill(model, holed, samples=30)
    there = ~holed.isnan()
    for draw in found.samples.unbind(1):
        torch.testing.assert_close(draw[there], real[there], rtol=0, atol=0)
    # the other channel tells a value to within sqrt(1 - 0.999^2) = 0.045
    assert (found.mean - real)[~there].abs().max() < 0.15
    assert found.samples[2].std(0).max() == 0.0


def test_draws_do_not_depend_on_their_neighbours(model):
    """Series i draws the same whatever is forecast with it, also where the others lack other values."""
    real = process(3)[..., :SEEN].clone()
    together = forecast(model, real, 3, samples=4, seed=5)
    real[1, 0, SEEN - 1] = math.nan  # a step before it would say nothing new: the process is Markov
    apart = forecast(model, real, 3, samples=4, seed=5)
    for i in (0, 2):
        torch.testing.assert_close(together.samples[i], apart.samples[i], rtol=1e-4, atol=1e-3)
    assert not torch.allclose(together.samples[1], apart.samples[1], atol=1e-3)


def test_quantiles_of_definition_6():
    """Of k = 19 draws the quantile i/20 is the i-th; numpy's "weibull" is the same definition."""
    draws = torch.randn(2, 19, 3, generator=torch.Generator().manual_seed(0))
    for share in (*LEVELS, 0.0, 1.0, 0.33):
        expected = np.quantile(draws.numpy(), share, axis=1, method="weibull")
        np.testing.assert_allclose(quantile(draws, share).numpy(), expected, atol=1e-6)
    with pytest.raises(UserError, match="from 0 to 1"):
        quantile(draws, 1.5)


@pytest.mark.parametrize(
    ("past", "horizon", "words"),
    [
        (
            torch.zeros(1, 8),
            5,
            "8 steps and 5 ahead are 13, and the model knows series of 12: give a horizon of at most 4",
        ),
        (torch.zeros(1, 12), 4, "give the last 8 steps"),
        (torch.zeros(1, 12), 12, "give a horizon below 12"),
        (torch.zeros(2, 8), 2, "the model's have 1 channel: give"),
        (torch.zeros(8), 2, "series of shape"),
        (torch.full((1, 8), math.nan), 2, r"series 0 \(counted from 0\) has no value"),
        (torch.full((1, 8), math.inf), 2, "an infinite value at"),
        (torch.zeros(1, 8), 0, "at least 1 step"),
    ],
)
def test_what_cannot_be_forecast(model, past, horizon, words):
    with pytest.raises(UserError, match=words):
        forecast(model, past, horizon, samples=2)


def test_other_models_are_told_apart(model):
    with pytest.raises(UserError, match="the model knows 12"):
        fill(model, torch.zeros(1, 13))
