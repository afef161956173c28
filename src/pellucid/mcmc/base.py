r"""Markov chains that leave a law p(x) = exp(-E(x))/Z in peace: what a move is, and what it is told.

A move is a pure function of the state, a length and random numbers. All lengths h mean the same thing: a Langevin move
is x - h^2/2 grad E + h z, which is one leapfrog step of length h from the momentum z.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser, score_from_x0
from ..energies.denoisers import HasEnergy, energy_of
from ..foundations.errors import UserError
from ..nn.energy import slope
from ..processes.gaussian import Gaussian


@dataclass(frozen=True)
class Place:
    """Where chains are: x (B, *), E(x) (B,) or None where only the slope is known, and grad E(x) (B, *)."""

    x: Tensor
    energy: Tensor | None
    slope: Tensor

    def where(self, moved: Tensor, other: Place) -> Place:
        """`other` for the chains that `moved`, (B,), marks, and this place for the rest."""
        assert self.energy is not None
        assert other.energy is not None
        wide = moved.reshape(-1, *(1,) * (self.x.ndim - 1))
        return Place(
            torch.where(wide, other.x, self.x),
            torch.where(moved, other.energy, self.energy),
            torch.where(wide, other.slope, self.slope),
        )


Law = Callable[[Tensor], Place]  # x (B, *) to what chains need to know there


def by_energy(energy: Callable[[Tensor], Tensor]) -> Law:
    """The law of an energy, (B, *) -> (B,), whose slope comes by automatic differentiation."""

    def at(x: Tensor) -> Place:
        with torch.no_grad():
            return Place(x, *slope(energy, x))

    return at


def at_time(denoiser: Denoiser, t: Tensor, **cond: Any) -> Law:
    """The noised law p_t of a denoiser at a time of shape (): with its energy where the denoiser knows it.

    Raises:
        UserError: a process that is not Gaussian.
    """
    process = denoiser.process
    if not isinstance(process, Gaussian):
        raise UserError(f"chains move among numbers: they need a Gaussian process, got {type(process).__name__}")
    if isinstance(denoiser, HasEnergy):
        known = energy_of(denoiser, "this chain")
        return by_energy(lambda x: known.energy(x, t, **cond))
    return lambda x: Place(x, None, -score_from_x0(process, x, denoiser(x, t, **cond), t))


class Kernel(ABC):
    """One move of a chain."""

    @property
    @abstractmethod
    def draws(self) -> int:
        """How many uniform numbers an item's move takes, beside normal ones of the item's shape."""

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """How often a move asks for the slope."""

    @property
    @abstractmethod
    def aim(self) -> float:
        """The share of accepted moves that serves best."""

    @property
    def exact(self) -> bool:
        """Whether it keeps the law exactly: where it takes no coin, it does not."""
        return self.draws > 0

    @abstractmethod
    def __call__(
        self, law: Law, place: Place, length: Tensor | float, noise: Tensor, coins: Tensor
    ) -> tuple[Place, Tensor]:
        """The next place, and the probability with which each proposal was accepted, (B,).

        Args:
            law: what the chain leaves in peace.
            place: where it is.
            length: h, a number or of shape (B,).
            noise: standard normal, (B, *).
            coins: uniform in [0, 1), (draws, B).
        """


def accepted(place: Place, proposed: Place, log_ratio: Tensor, coin: Tensor) -> tuple[Place, Tensor]:
    """Metropolis and Hastings's choice: the proposal with probability min(1, exp(log_ratio)), which is returned too.

    A proposal at which the law is not a number is refused.
    """
    chance = log_ratio.nan_to_num(nan=-torch.inf, posinf=torch.inf).clamp_max(0).exp()
    return place.where(coin.to(chance) < chance, proposed), chance


def energies(*places: Place) -> list[Tensor]:
    """The energies of places.

    Raises:
        UserError: a law whose energy is not known.
    """
    found = [place.energy for place in places if place.energy is not None]
    if len(found) < len(places):
        raise UserError(
            "an accepted or refused move needs the law's energy, and only its slope is known: train the model with "
            "--set network.energy=true, or use the unadjusted moves 'ula'"
        )
    return found


def wide(length: Tensor | float, x: Tensor) -> Tensor | float:
    """A length, a number or of shape (B,), as it multiplies x of shape (B, *)."""
    return length.reshape(-1, *(1,) * (x.ndim - 1)) if isinstance(length, Tensor) and length.ndim else length
