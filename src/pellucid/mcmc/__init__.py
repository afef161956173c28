"""Markov chain Monte Carlo on laws whose energy or slope is known: moves, their tuning, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable

from ..foundations.registry import Registry
from .base import Kernel, Law, Place, at_time, by_energy
from .chains import Chains, run_chains, tune
from .corrected import Corrected, Lengths, Pilot, tuned_lengths
from .hamiltonian import Hamiltonian, leapfrog
from .ladder import Ladder, NormalBase, geometric, noised
from .langevin import Adjusted, Unadjusted
from .mixing import effective_size, mean_and_error, split_r_hat
from .normaliser import Normaliser, annealed_along, annealed_importance, thermodynamic

MCMC: Registry[Callable[..., Kernel]] = Registry(
    "Markov chain", {"ula": Unadjusted, "mala": Adjusted, "hmc": Hamiltonian}
)

__all__ = [
    "MCMC",
    "Adjusted",
    "Chains",
    "Corrected",
    "Hamiltonian",
    "Kernel",
    "Ladder",
    "Law",
    "Lengths",
    "NormalBase",
    "Normaliser",
    "Pilot",
    "Place",
    "Unadjusted",
    "annealed_along",
    "annealed_importance",
    "at_time",
    "by_energy",
    "effective_size",
    "geometric",
    "leapfrog",
    "mean_and_error",
    "noised",
    "run_chains",
    "split_r_hat",
    "thermodynamic",
    "tune",
    "tuned_lengths",
]
