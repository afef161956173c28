"""The density of what is there of a series: by a law of which every marginal is known, and by a trained model."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pellucid.data.codecs import SeriesCodec
from pellucid.data.ragged import series_dataset
from pellucid.likelihood import log_prob, vlb
from pellucid.likelihood.present import Present, patterns
from pellucid.model import load
from pellucid.oracles import gaussian_oracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.score import log_prob as model_log_prob
from pellucid.score import scores

from ..small import trained

SHAPE = (2, 5)


class Told:
    """The exact denoiser of N(0, K) that is told what is there of each item, and makes nothing of the rest."""

    def __init__(self, covariance):
        self.process, self.covariance = Gaussian(SCHEDULES["edm"]()), covariance

    def __call__(self, x, t, *, presence):
        found = torch.full_like(x, math.nan)
        for i in range(len(x)):
            there = presence[i].flatten().bool()
            law = gaussian_oracle(self.process, torch.zeros(int(there.sum())), self.covariance[there][:, there])
            one = law(x[i].flatten()[there][None], t if t.ndim == 0 else t[i : i + 1])[0]
            found[i] = torch.full_like(x[i], math.nan).flatten().masked_scatter(there, one).reshape(SHAPE)
        return found


def covariance():
    root = torch.randn(10, 10, generator=torch.Generator().manual_seed(0)) / 3
    return root @ root.T + 0.3 * torch.eye(10)


def series():
    x = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1))
    x[:2, :, 3:] = math.nan  # an end
    x[3, 1, 2] = math.nan  # a hole
    return x


def test_the_exact_density_of_what_is_there():
    """log N(values; 0, their block of K), to 0.02 nats of the ODE's 96 steps; the bound is within 0.1 nats and its own
    error bar of it, for the denoiser is exact."""
    cov, x = covariance(), series()
    found = patterns(x)
    assert sorted(len(rows) for _, rows in found) == [1, 1, 2]
    for there, rows in found:
        block = cov[there.flatten()][:, there.flatten()]
        values = x[rows][:, there]
        law = torch.distributions.MultivariateNormal(torch.zeros(len(block)), block)
        exact = law.log_prob(values).double()
        model = Present(Told(cov), there)
        torch.testing.assert_close(log_prob(model, values, steps=96, force=True).value, exact, rtol=0, atol=0.02)
        bound = vlb(model, values, continuous=True, evaluations=32, force=True)
        assert ((bound.value + exact).abs() < 4 * bound.standard_error + 0.1).all()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("present")
    rng = np.random.default_rng(0)
    (folder / "data").mkdir()
    for i in range(80):
        np.save(folder / f"data/{i}.npy", rng.normal(size=(2, rng.integers(3, 6))) * [[2.0], [5.0]])
    changes = {"data__source": str(folder / "data"), "data__kind": "series", "sampling__guidance": 1.0}
    return load(trained(folder / "run", **changes, training__budget="320-items").run.path)


def test_a_model_of_series(model):
    """Each item's density is the same alone and among others, in padding or out of it; bits are of its own values."""
    assert isinstance(model.card.codec, SeriesCodec)
    rng = np.random.default_rng(1)
    items = [rng.normal(size=(2, steps)) * [[2.0], [5.0]] for steps in (3, 5, 4, 5, 3)]
    data = series_dataset(items, None, "held out")
    x = model.card.codec.encode(data.items)
    found = model_log_prob(model, x, trace="exact", steps=16, force=True)
    assert found.value.shape == (5,)
    for i in (0, 3):
        alone = model_log_prob(model, x[i : i + 1], trace="exact", steps=16, force=True)
        torch.testing.assert_close(alone.value, found.value[i : i + 1], rtol=1e-4, atol=1e-3)
    ode, bound = scores(model, data, trace="exact", steps=16, evaluations=8, force=True)
    sizes = torch.tensor([6, 10, 8, 10, 6], dtype=torch.float64)
    own = torch.tensor(model.card.codec.std, dtype=torch.float64).log().sum() * sizes / 2
    expected = (-found.value + own).sum() / sizes.sum() / math.log(2)
    assert ode.bits_per_dim == pytest.approx(expected.item(), rel=1e-3)
    assert bound.bits_per_dim == pytest.approx(ode.bits_per_dim, abs=1.0)
