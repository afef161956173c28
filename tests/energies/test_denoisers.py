"""Energies and the denoisers that they are by Tweedie's formula."""

from __future__ import annotations

import pytest
import torch

from pellucid import SCHEDULES, TARGETS, Gaussian, MixtureOracle, UserError, gaussian_oracle
from pellucid.denoisers import EDM, Mu
from pellucid.energies.denoisers import EnergyDenoiser, FromEnergy, HasEnergy, energy_of
from pellucid.likelihood import log_prob
from pellucid.nn import MLP, NetworkSpec, build
from pellucid.nn.energy import EnergyNetwork, slope

F64 = torch.float64
SPEC = NetworkSpec("mlp", (2,), width=16, blocks=2, energy=True)


def rough(process, target):
    """A denoiser whose network is far from zero."""
    torch.manual_seed(0)
    network = build(SPEC).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    return EnergyDenoiser(network, process, target)


@pytest.mark.parametrize("schedule", ["edm", "vp", "cosine", "rectified"])
@pytest.mark.parametrize("target", [name for name in TARGETS if TARGETS[name] is not Mu])
def test_the_denoiser_is_tweedie_of_the_energy(schedule, target):
    """(x - sigma^2 grad E)/alpha is the forward, to the round-off of dividing by alpha."""
    process = Gaussian(SCHEDULES[schedule]())
    denoiser = rough(process, TARGETS[target]())
    x = torch.randn(5, 2, dtype=F64, generator=torch.Generator().manual_seed(1))
    for t in (torch.tensor(0.3, dtype=F64), torch.linspace(0.2, 0.9, 5, dtype=F64)):
        alpha, sigma = process.scales(t, x)
        with torch.no_grad():
            energy, pull = slope(denoiser.energy, x, t)
            expected = (x - sigma**2 * pull) / alpha
            found = denoiser(x, t)
        assert energy.shape == (5,)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


def test_an_untrained_one_is_the_normal_law():
    """With its potential at zero, the EDM target's skip is the exact denoiser of N(0, sigma_data^2 I), and the energy
    is that law's up to a constant."""
    process = Gaussian(SCHEDULES["edm"]())
    denoiser = EnergyDenoiser(build(SPEC), process, EDM(0.7))
    oracle = gaussian_oracle(process, torch.zeros(2), torch.tensor(0.49))
    x, t = torch.randn(20, 2), torch.tensor(0.4)
    torch.testing.assert_close(denoiser(x, t), oracle(x, t), rtol=1e-5, atol=1e-6)
    gap = denoiser.energy(x, t) - oracle.energy(x, t)
    assert (gap - gap[0]).abs().max() < 1e-4


def test_a_known_energy_is_the_oracle():
    process = Gaussian(SCHEDULES["vp"]())
    oracle = MixtureOracle(process, torch.tensor([[-1.0, 0.0], [1.0, 0.5]]).double(), torch.tensor([0.2, 0.5]).double())
    made = FromEnergy(process, oracle.energy)
    x = torch.randn(50, 2, dtype=F64)
    for t in (torch.tensor(0.1), torch.tensor(0.7)):
        torch.testing.assert_close(made(x, t), oracle(x, t), rtol=1e-5, atol=1e-6)


def test_it_serves_likelihood_and_gradients_as_any_denoiser():
    """The log-density through an energy's flow, whose trace takes second derivatives, is that of the exact denoiser on
    the same steps."""
    process = Gaussian(SCHEDULES["edm"]())
    oracle = gaussian_oracle(process, torch.tensor([0.5, -0.5]).double(), torch.tensor(0.8, dtype=F64))
    made = FromEnergy(process, oracle.energy)
    x = torch.randn(6, 2, dtype=F64, generator=torch.Generator().manual_seed(3))
    found, exact = (log_prob(each, x, trace="exact", steps=32).value for each in (made, oracle))
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-5)
    leaf = x.clone().requires_grad_()
    (back,) = torch.autograd.grad(made(leaf, torch.tensor(0.5)).sum(), leaf)
    (exactly,) = torch.autograd.grad(oracle(leaf, torch.tensor(0.5)).sum(), leaf)
    torch.testing.assert_close(back, exactly, rtol=1e-6, atol=1e-8)


def test_what_has_no_energy_says_so():
    process = Gaussian(SCHEDULES["edm"]())
    with pytest.raises(UserError, match="EnergyNetwork"):
        EnergyDenoiser(MLP(NetworkSpec("mlp", (2,), width=8)), process, EDM(0.5))  # type: ignore[arg-type]
    denoiser = rough(process, EDM(0.5))
    assert isinstance(denoiser, HasEnergy)
    assert isinstance(denoiser.network, EnergyNetwork)
    with pytest.raises(UserError, match="above 0"):
        denoiser.energy(torch.zeros(1, 2, dtype=F64), torch.tensor(0.0))

    def plain(x, t):
        return x

    plain.process = process
    with pytest.raises(UserError, match=r"network\.energy=true"):
        energy_of(plain, "this")
