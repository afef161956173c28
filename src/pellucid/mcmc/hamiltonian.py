r"""Hamiltonian moves: a stretch of the flow of H(x, p) = E(x) + |p|^2/2, by leapfrog steps.

    p <- p - h/2 grad E(x),   x <- x + h p,   p <- p - h/2 grad E(x)                                               (1)

keeps volume, runs backwards when p turns round, and keeps H to h^2; so after a fresh p ~ N(0, I) and L steps the end is
accepted with probability min(1, exp(H - H')) and the law is kept exactly (Duane et al., "Hybrid Monte Carlo", 1987;
Neal, "MCMC Using Hamiltonian Dynamics", 2011, sections 2.3 and 3.2). The best share of accepted moves is 0.651 (Beskos
et al., "Optimal Tuning of the Hybrid Monte Carlo Algorithm", 2013, section 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..foundations.errors import UserError
from .base import Kernel, Law, Place, accepted, energies, wide


def leapfrog(law: Law, place: Place, momentum: Tensor, length: Tensor | float, leaps: int) -> tuple[Place, Tensor]:
    """Equation (1), `leaps` times: the place and the momentum (B, *) at its end.

    Args:
        law: of E.
        place: where it starts.
        momentum: p, (B, *).
        length: h, a number or of shape (B,).
        leaps: L.
    """
    h = wide(length, place.x)
    for _ in range(leaps):
        momentum = momentum - h / 2 * place.slope
        place = law(place.x + h * momentum)
        momentum = momentum - h / 2 * place.slope
    return place, momentum


@dataclass(frozen=True)
class Hamiltonian(Kernel):
    """`leaps` steps of (1) and Metropolis's choice.

    Attributes:
        leaps: L.
        jitter: each move's h is spread evenly over h (1 +- jitter), so that no orbit of the flow closes on itself (Neal
            2011, section 4.2).
    """

    leaps: int = 8
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if self.leaps < 1 or not 0 <= self.jitter < 1:
            raise UserError(f"give at least 1 leap and a jitter in [0, 1), got {self.leaps} and {self.jitter}")

    @property
    def draws(self) -> int:
        return 2

    @property
    def evaluations(self) -> int:
        return self.leaps

    @property
    def aim(self) -> float:
        return 0.651

    def __call__(
        self, law: Law, place: Place, length: Tensor | float, noise: Tensor, coins: Tensor
    ) -> tuple[Place, Tensor]:
        """The next place and the chance of each proposal.

        Raises:
            UserError: a law whose energy is not known.
        """
        energies(place)
        spread = length * (1 + self.jitter * (2 * coins[1].to(noise) - 1))
        there, momentum = leapfrog(law, place, noise, spread, self.leaps)
        before, after = energies(place, there)
        kinetic = 0.5 * (noise.square() - momentum.square()).flatten(1).sum(1)
        return accepted(place, there, before - after + kinetic, coins[0])


def hamiltonian_error(law: Law, place: Place, momentum: Tensor, *, time: float, leaps: int) -> Tensor:
    """|H' - H| after a stretch of the given time in so many leaps, (B,): it falls as leaps^-2.

    Raises:
        UserError: no time, or no leaps.
    """
    if not (math.isfinite(time) and time > 0 and leaps >= 1):
        raise UserError(f"give a positive time and at least 1 leap, got {time} and {leaps}")
    there, after = leapfrog(law, place, momentum, time / leaps, leaps)
    old, new = energies(place, there)
    return (new - old + 0.5 * (after.square() - momentum.square()).flatten(1).sum(1)).abs()
