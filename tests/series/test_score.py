"""Likeness of series against processes whose correlations are known, and forecasts of an exact model."""

from __future__ import annotations

import pytest
import torch

from pellucid import UserError
from pellucid.config import ProcessSettings, SamplingSettings
from pellucid.data.arrays import Dataset
from pellucid.data.codecs import SignalCodec
from pellucid.metrics.features import with_presence
from pellucid.model import Card, Model, make_denoiser
from pellucid.nn import NetworkSpec, build
from pellucid.series.score import (
    Forecasts,
    autocorrelation,
    autocorrelation_gap,
    autocorrelations,
    baselines,
    discriminative,
    forecast_items,
    spectra,
    spectrum,
)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def autoregression(a, count, length, seed=0):
    z = noise(count, 1, length, seed=seed)
    x = [z[..., 0]]
    for i in range(1, length):
        x.append(a * x[-1] + (1 - a * a) ** 0.5 * z[..., i])
    return torch.stack(x, -1)


def test_the_autocorrelation_of_an_autoregression():
    """a^k, with the biased estimate's factor 1 - k/L; over 200 series of 2,000 steps the error is below 0.01."""
    found = autocorrelation(autoregression(0.8, 200, 2000))[0]
    expected = torch.tensor([0.8**k * (1 - k / 2000) for k in range(8)], dtype=torch.float64)
    torch.testing.assert_close(found[:8], expected, rtol=0, atol=0.015)
    flat = autocorrelation(torch.full((2, 1, 8), 3.0))
    assert torch.isfinite(flat).all()


def test_the_spectrum_of_a_wave_and_its_sum():
    """cos of 3 cycles has a quarter of its squared height at k = 3; and the powers sum to the mean square."""
    wave = 2 * torch.cos(2 * torch.pi * 3 * torch.arange(32) / 32)[None, None]
    found = spectrum(wave)[0]
    assert found[3].item() == pytest.approx(1.0, rel=1e-5)
    assert found.sum().item() == pytest.approx(1.0, rel=1e-5)
    x = noise(50, 2, 33)
    powers = spectrum(x)
    whole = powers[:, 0] + 2 * powers[:, 1:].sum(1)  # of an odd length, every other frequency comes twice
    torch.testing.assert_close(whole, x.double().square().mean((0, 2)))


def test_the_discriminative_score():
    """0 of equal laws within its own error bar, 0.5 of laws far apart."""
    same = discriminative(noise(400, 1, 8), noise(400, 1, 8, seed=1))
    apart = discriminative(noise(400, 1, 8) + 3, noise(400, 1, 8, seed=1))
    assert same.value < 0.08
    assert same.low == 0.0
    assert apart.value > 0.48


def test_quantiles_of_draws_alike_cover_what_they_say():
    """The truth is a draw like the others: intervals of 90 % from 32 draws hold 90 % of 4,000 truths, and a little
    more, for between the draws at either end the law falls off faster than a straight line."""
    real, samples = noise(2000, 1, 3), noise(2000, 32, 1, 3, seed=1)
    found = Forecasts(real, samples, 1).coverage()
    assert found.value == pytest.approx(0.905, abs=0.02)
    assert found.low < 0.907 < found.high
    narrow = Forecasts(real, 0.5 * samples, 1).coverage()
    assert narrow.value < 0.65


def exact_model(length=8):
    """An untrained energy denoiser is that of white noise, N(0, I), where nothing seen tells of what comes."""
    spec = NetworkSpec("unet", (1, length), width=8, multipliers=(1,), blocks=1, energy=True)
    process = ProcessSettings(sigma_data=1.0)
    codec = SignalCodec(length, (2.0,), (3.0,))
    card = Card(spec, process, codec, (), SamplingSettings(steps=12, grid="karras"), {"name": "x", "sha256": "0" * 64})
    return Model(make_denoiser(build(spec), process).eval().requires_grad_(False), card, "0" * 64)


def test_forecasts_of_an_exact_model():
    """What is seen is kept, draws ahead have the law's own spread, and the error is that of the mean of 16 draws."""
    model = exact_model()
    items = 2 + 3 * noise(60, 1, 8).numpy()
    found = forecast_items(model, Dataset(items, None, (), model.card.codec, "x"), seen=5 / 8, items=60, samples=16)
    torch.testing.assert_close(
        found.samples[..., :5], found.real[:, None, :, :5].expand(-1, 16, -1, -1), rtol=0, atol=1e-3
    )
    ahead = found.samples[..., 5:]
    assert ahead.std().item() == pytest.approx(1, abs=0.06)  # four standard errors of 2,880 draws
    assert found.error() == pytest.approx((1 + 1 / 16) ** 0.5, abs=0.22)  # of 180 truths
    assert found.coverage().low < 0.9 < found.coverage().high + 0.02
    with pytest.raises(UserError, match="less than all"):
        forecast_items(model, Dataset(items, None, (), model.card.codec, "x"), seen=1.0)


def test_the_crps_against_its_closed_form():
    """Of N(m, s^2) at y, with z = (y - m)/s: s [z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)] (Gneiting and Raftery 2007).
    From 20 draws the estimate has no bias: over 20,000 items its error is about 0.3/sqrt(20000) = 0.002."""
    normal = torch.distributions.Normal(0.0, 1.0)
    for y in (0.0, 1.7):
        found = Forecasts(torch.full((20000, 1, 1), y), noise(20000, 20, 1, 1), 0).crps().value
        z = torch.tensor(y)
        expected = z * (2 * normal.cdf(z) - 1) + 2 * normal.log_prob(z).exp() - torch.pi**-0.5
        assert found == pytest.approx(expected.item(), abs=0.008)
    alone = Forecasts(torch.ones(2, 1, 1), torch.full((2, 1, 1, 1), 3.0), 0)
    assert alone.crps().value == 2.0  # of one value it is the distance


def test_the_pinball_loss_by_hand():
    """Of the one value 3 at the truth 1 every level q costs (1 - q) 2; the mean of q over the levels is 1/2."""
    below = Forecasts(torch.ones(2, 1, 1), torch.full((2, 1, 1, 1), 3.0), 0)
    assert below.pinball().value == pytest.approx(1.0)


def test_simple_rules_and_the_conditional_gaussian():
    """The Gaussian rule reaches the exact law's expected CRPS, s/sqrt(pi), on an autoregression; the others do not."""
    train, real = autoregression(0.9, 3000, 8), autoregression(0.9, 400, 8, seed=1)
    rules = baselines(Forecasts(real, real[:, None], 6), train)
    assert rules["last value"].samples[3, 0, 0, 6:].tolist() == [real[3, 0, 5].item()] * 2
    spreads = [(1 - 0.9 ** (2 * k)) ** 0.5 for k in (1, 2)]
    expected = sum(spreads) / 2 / torch.pi**0.5
    found = {name: one.crps().value for name, one in rules.items()}
    # 800 values, two of an item going together: the standard error is 0.75 * 0.5 / sqrt(400) = 0.01
    assert found["Gaussian of their mean and covariance"] == pytest.approx(expected, abs=0.03)
    assert found["mean of the training series"] > found["the training series themselves"] > 1.3 * expected
    assert rules["Gaussian of their mean and covariance"].coverage().value == pytest.approx(0.9, abs=0.05)


def test_the_largest_gap_of_autocorrelations():
    """Of one law it is within chance of zero; of 0.9^k and 0.5^k it is 0.4, at the first lag or the second."""
    one, same, other = (autoregression(a, 300, 200, seed=s) for a, s in ((0.9, 0), (0.9, 1), (0.5, 2)))
    none, some = autocorrelation_gap(one, same), autocorrelation_gap(one, other)
    assert none.low is not None
    assert none.low < 0.02
    assert some.value == pytest.approx(0.9**2 - 0.5**2, abs=0.05)  # 0.56 at the second lag, the largest


def test_series_of_several_lengths_are_scored_by_what_is_there():
    """Padding counts nowhere: each item's numbers are those that it has alone."""
    short, long = noise(1, 2, 9, seed=3), noise(1, 2, 14, seed=4)
    padded = torch.cat([torch.nn.functional.pad(short, (0, 5), value=torch.nan), long])
    torch.testing.assert_close(autocorrelations(padded)[0, :, :9], autocorrelations(short)[0])
    torch.testing.assert_close(
        spectra(padded)[0].sum(-1), spectra(torch.nn.functional.pad(short, (0, 5)))[0].sum(-1) * 14 / 9
    )
    draws = padded[:, None] + noise(2, 20, 2, 14, seed=5)
    both = Forecasts(padded, draws, torch.tensor([6, 10]))
    alone = [Forecasts(short, draws[:1, ..., :9], 6), Forecasts(long, draws[1:], 10)]
    for measure in ("coverage", "crps", "pinball"):
        expected = sum(getattr(one, measure)().value for one in alone) / 2
        assert getattr(both, measure)().value == pytest.approx(expected)


def test_lengths_alone_tell_series_apart():
    """Equal values, ends that differ in a third of the series: a classifier sees that, and no more where they agree."""
    x, y = noise(300, 1, 8), noise(300, 1, 8, seed=1)
    x[::3, :, 5:] = torch.nan
    assert 0.1 < discriminative(x, y).value < 0.25  # at best (1 - 2/3) / 2 = 1/6 of those that are held out
    y[::3, :, 5:] = torch.nan
    assert discriminative(x, y).value < 0.08
    assert with_presence(x[:1]).tolist()[0][4:] == [x[0, 0, 4].item(), 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0]
