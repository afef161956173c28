"""The leapfrog: its order, its way back, its volume; and the law that Hamiltonian moves keep."""

from __future__ import annotations

import pytest
import torch
from chain_laws import F64, HUMPS, humps_exactly, numbers, quartic, two_humps

from pellucid.foundations.errors import UserError
from pellucid.mcmc import Hamiltonian, leapfrog
from pellucid.mcmc.hamiltonian import hamiltonian_error


def test_the_order_is_two():
    """Over a fixed time the error of H falls fourfold with each halving of h; the next term is 1/4 of what is left."""
    place, momentum = quartic(numbers(100, 2)), numbers(100, 2, seed=1)
    errors = [hamiltonian_error(quartic, place, momentum, time=1.0, leaps=n).mean() for n in (32, 64, 128)]
    assert float(errors[0] / errors[1]) == pytest.approx(4, rel=0.05)
    assert float(errors[1] / errors[2]) == pytest.approx(4, rel=0.02)


def test_it_runs_backwards():
    place, momentum = quartic(numbers(100, 2)), numbers(100, 2, seed=1)
    there, after = leapfrog(quartic, place, momentum, 0.2, 10)
    home, turned = leapfrog(quartic, there, -after, 0.2, 10)
    assert (there.x - place.x).abs().mean() > 0.1
    torch.testing.assert_close(home.x, place.x, rtol=0, atol=1e-9)
    torch.testing.assert_close(-turned, momentum, rtol=0, atol=1e-9)


def test_it_keeps_volume():
    """The Jacobian of (x, p) -> (x', p') has determinant 1, to round-off."""

    def flow(state):
        there, after = leapfrog(quartic, quartic(state[None, :2]), state[None, 2:], 0.3, 7)
        return torch.cat([there.x[0], after[0]])

    for seed in range(4):
        jacobian = torch.autograd.functional.jacobian(flow, numbers(4, seed=seed))
        assert torch.linalg.det(jacobian).item() == pytest.approx(1, abs=1e-9)


def test_a_move_keeps_the_law():
    """From exact draws, one move of each of 20,000 chains, long enough that few are refused for nothing: moments
    within 4 standard errors."""
    place = two_humps(humps_exactly(20000, 3))
    coins = torch.rand(2, 20000, dtype=F64, generator=torch.Generator().manual_seed(4))
    moved, chance = Hamiltonian(leaps=5)(two_humps, place, 0.8, numbers(20000, 1, seed=5), coins)
    assert 0.5 < chance.mean() < 0.97
    for power, exact in enumerate(HUMPS, start=1):
        values = moved.x[:, 0] ** power
        assert abs(values.mean() - exact) < 4 * values.std() / 20000**0.5


def test_numbers_out_of_range_are_told():
    with pytest.raises(UserError, match="at least 1 leap"):
        Hamiltonian(leaps=0)
    with pytest.raises(UserError, match="positive time"):
        hamiltonian_error(quartic, quartic(numbers(1, 2)), numbers(1, 2), time=0.0, leaps=3)
