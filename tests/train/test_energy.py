"""Denoisers that are energies, trained, resumed and used as any other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid import UserError, load, restore, sample
from pellucid.data.builtin import digits8, moons
from pellucid.energies.denoisers import EnergyDenoiser
from pellucid.nn.energy import slope
from pellucid.operators import Mask
from pellucid.score import log_prob
from pellucid.train.start import resume

from ..small import Watcher, hashes, trained


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("energy") / "run"
    trained(path, network__energy=True)
    return path


def test_it_learns_and_knows_its_energy(run):
    """The trained model's forward is Tweedie's formula of its energy, no longer that of the normal law of the start."""
    denoiser = load(run).denoiser
    assert isinstance(denoiser, EnergyDenoiser)
    x = digits8().fetch(np.arange(4))[0]
    t, label = torch.tensor(0.35), torch.arange(4)
    alpha, sigma = denoiser.process.scales(t, x)
    noisy = denoiser.process.corrupt(x, t, torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        _, pull = slope(denoiser.energy, noisy, t, label=label)
        found = denoiser(noisy, t, label=label)
    torch.testing.assert_close(found, (noisy - sigma**2 * pull) / alpha, rtol=1e-4, atol=1e-4)
    skip, _, _ = denoiser.target.coefficients(denoiser.process, t)
    assert (found - skip * noisy).abs().max() > 0.01  # ten steps of training; 0 before


def test_every_use_of_a_denoiser_is_there(run):
    """Samples do not depend on their batch, a restoration keeps what it saw, and log p has a standard error."""
    model = load(run)
    many, one = sample(model, 3, steps=3, guidance=2.0), sample(model, 1, first=2, steps=3, guidance=2.0)
    torch.testing.assert_close(many[2:], one, rtol=1e-4, atol=1e-4)
    x = digits8().fetch(np.arange(2))[0]
    kept = torch.ones(8, 8)
    kept[2:5, 2:5] = 0
    found = restore(model, Mask(kept), x, method="mmps", steps=4)
    torch.testing.assert_close(found.samples[:, 0] * kept, x * kept, rtol=0, atol=2e-2)
    nats = log_prob(model, x, trace="hutchinson", steps=4, force=True)
    assert bool((nats.standard_error > 0).all())


def test_it_is_resumed_bit_for_bit(tmp_path):
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        trained(path, network__energy=True, training__budget="96-items")
        resume(path, more="96-items", observer=Watcher())
    assert hashes(paths[0]) == hashes(paths[1])


def test_what_an_energy_cannot_have_is_told(tmp_path):
    with pytest.raises(UserError, match="learned variance"):
        trained(tmp_path / "x", network__energy=True, process__learned_variance=True)
    with pytest.raises(UserError, match=r"training\.compile=false"):
        trained(tmp_path / "y", network__energy=True, training__compile=True)
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "y").exists()


def test_points_learn_a_law_by_their_energy(tmp_path):
    """After 2,000 steps' worth of items the energy tells moons from their mirror image: it is lower on the data."""
    trained(
        tmp_path / "m",
        data__source="moons",
        network__energy=True,
        network__kind="mlp",
        network__width=32,
        network__blocks=2,
        training__budget="12000-items",
        training__batch_size=128,
        training__lr=5e-3,
    )
    denoiser = load(tmp_path / "m").denoiser
    assert isinstance(denoiser, EnergyDenoiser)
    x = moons().fetch(np.arange(400))[0]
    t = denoiser.process.schedule.time(torch.tensor(-2 * np.log(0.3)))
    with torch.no_grad():
        lower = denoiser.energy(x, t) < denoiser.energy(x * torch.tensor([1.0, -1.0]), t)
    assert lower.float().mean() > 0.7
