"""Langevin moves: detailed balance, the law they keep, and the one that unadjusted moves settle at."""

from __future__ import annotations

import pytest
import torch
from chain_laws import F64, HUMPS, humps_exactly, normal, numbers, quartic, stream, two_humps

from pellucid.foundations.errors import UserError
from pellucid.mcmc import Adjusted, Hamiltonian, Place, Unadjusted, run_chains
from pellucid.mcmc.langevin import langevin_move


def log_flow(law, place, noise, length):
    """log of p(x) q(x' | x) a(x, x'), up to the same constant everywhere, and x'."""
    there = langevin_move(place, length, noise)
    coins = torch.zeros(1, len(noise), dtype=F64)
    _, chance = Adjusted()(law, place, length, noise, coins)
    return -place.energy - 0.5 * noise.square().sum(1) + chance.log(), there


def test_detailed_balance():
    """The flow of probability from x to x' is that from x' to x, to round-off."""
    h = 0.7
    place = quartic(numbers(200, 2))
    noise = numbers(200, 2, seed=1)
    forward, there = log_flow(quartic, place, noise, h)
    back = quartic(there)
    needed = (place.x - there) / h + h / 2 * back.slope  # the z that leads back
    backward, home = log_flow(quartic, back, needed, h)
    torch.testing.assert_close(home, place.x, rtol=0, atol=1e-10)
    torch.testing.assert_close(forward, backward, rtol=0, atol=1e-9)


def test_it_is_one_leapfrog_step():
    place, noise = quartic(numbers(50, 2)), numbers(50, 2, seed=1)
    coins = torch.rand(2, 50, dtype=F64, generator=torch.Generator().manual_seed(2))
    a, chance = Adjusted()(quartic, place, 0.5, noise, coins[:1])
    b, other = Hamiltonian(leaps=1, jitter=0.0)(quartic, place, 0.5, noise, coins)
    torch.testing.assert_close(chance, other, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(a.x, b.x, rtol=1e-12, atol=1e-12)
    assert 0.05 < float((a.x == place.x).all(1).double().mean()) < 0.95  # some stay, some go


def test_a_move_keeps_the_law_and_each_chain_its_own_length():
    """From exact draws, one move of each of 40,000 chains: moments within 4 standard errors."""
    place = two_humps(humps_exactly(40000, 5))
    lengths = torch.linspace(0.2, 1.8, 40000, dtype=F64)
    coins = torch.rand(1, 40000, dtype=F64, generator=torch.Generator().manual_seed(8))
    moved, chance = Adjusted()(two_humps, place, lengths, numbers(40000, 1, seed=9), coins)
    assert 0.3 < chance.mean() < 0.95
    for power, exact in enumerate(HUMPS, start=1):
        values = moved.x[:, 0] ** power
        assert abs(values.mean() - exact) < 4 * values.std() / 200


def test_unadjusted_moves_settle_where_their_bias_says():
    """N(0, V) settles at V/(1 - h^2/(4V)): 1/(1 - 0.16) here, seen to 2 % on 20,000 chains, four standard errors."""

    def law(x):
        return Place(x, None, x)

    made = run_chains(law, numbers(20000, 1), Unadjusted(), stream=stream(20000), num_moves=20, every=20, length=0.8)
    assert made.draws.var().item() == pytest.approx(1 / (1 - 0.16), rel=0.04)


def test_the_chance_of_an_unadjusted_move_is_exact_on_a_normal_law():
    """The trapezoidal rule is exact where the slope is linear."""
    place, noise = normal(numbers(50, 2)), numbers(50, 2, seed=1)
    coins = torch.zeros(1, 50, dtype=F64)
    _, chance = Unadjusted()(lambda x: Place(x, None, normal(x).slope), place, 0.9, noise, coins[:0])
    _, exact = Adjusted()(normal, place, 0.9, noise, coins)
    assert chance.min() < 0.9
    torch.testing.assert_close(chance, exact, rtol=1e-9, atol=1e-12)


def test_a_choice_needs_energies():
    def law(x):
        return Place(x, None, x)

    for kernel in (Adjusted(), Hamiltonian()):
        with pytest.raises(UserError, match=r"network\.energy=true"):
            run_chains(law, numbers(3, 1), kernel, stream=stream(3), num_moves=1, length=0.1)


def test_a_place_without_a_law_is_never_entered():
    """Where the energy is not a number the proposal is refused."""

    def law(x):
        inside = (x.abs() < 1).all(1)
        return Place(x, torch.where(inside, 0.0, float("nan")).double(), torch.zeros_like(x))

    made = run_chains(law, torch.zeros(500, 1, dtype=F64), Adjusted(), stream=stream(500), num_moves=60, length=0.7)
    assert bool((made.draws.abs() < 1).all())
    # It is the uniform law on (-1, 1): variance 1/3, whose estimate from 500 has an error of 0.0133
    assert made.draws[-1].var().item() == pytest.approx(1 / 3, abs=0.055)
