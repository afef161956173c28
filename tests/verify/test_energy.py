"""The group `energy` passes, and each of its checks fails when what it checks is broken in one place."""

from __future__ import annotations

import pytest
import torch

from pellucid.energies import compose
from pellucid.energies import denoisers as energy_denoisers
from pellucid.mcmc import base, corrected, hamiltonian, langevin, normaliser
from pellucid.verify import energy


def times(factor):
    return lambda right: lambda *arguments, **options: factor * right(*arguments, **options)


def always(right):
    def wrong(place, there, log_ratio, coin):
        return right(place, there, torch.full_like(log_ratio, 50.0), coin)

    return wrong


def turned(right):
    def wrong(law, place, momentum, length, leaps):
        there, after = right(law, place, momentum, length, leaps)
        return there, 1.01 * after

    return wrong


def first_order(right):
    def wrong(law, place, momentum, length, leaps):
        for _ in range(leaps):
            momentum = momentum - length * place.slope
            place = law(place.x + length * momentum)
        return place, momentum

    return wrong


def narrower(right):
    def wrong(whole, rest, effective, acceptance):
        return right(whole + 0.2, rest + 0.2, effective, acceptance)

    return wrong


BREAKS = [
    ("tweedie", energy_denoisers, "slope", lambda right: lambda *a, **k: (0, 1.001 * right(*a, **k)[1]), "edm"),
    ("chains", langevin, "accepted", always, "mala: m"),
    ("chains", base, "slope", lambda right: lambda *a: (2 * right(*a)[0], right(*a)[1]), "moments of a mixture"),
    ("flow", hamiltonian, "leapfrog", first_order, "order"),
    ("flow", energy, "leapfrog", turned, "there and back"),
    ("normalisers", normaliser, "_jackknife", narrower, "annealed"),
    ("compositions", compose._Composition, "_joined", times(1.001), "mixture of two mixtures"),
]


def failed(check):
    return [outcome.name for outcome in getattr(energy, check)() if not outcome.passed]


@pytest.mark.parametrize("check", ["tweedie", "chains", "flow", "normalisers", "compositions"])
def test_every_check_passes(check):
    assert failed(check) == []


@pytest.mark.parametrize(("check", "place", "name", "breaking", "words"), BREAKS)
def test_a_check_fails_when_its_subject_is_broken(check, place, name, breaking, words, monkeypatch):
    monkeypatch.setattr(place, name, breaking(getattr(place, name)))
    assert any(words in line for line in failed(check))


def test_a_composition_without_its_moves_fails(monkeypatch):
    def without(self, denoiser, x, t, s, noise, carry):
        return self.solver(self.leader or denoiser, x, t, s, noise, carry)

    monkeypatch.setattr(corrected.Corrected, "__call__", without)
    assert any("product" in line for line in failed("compositions"))
