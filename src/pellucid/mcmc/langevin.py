r"""Langevin moves, unadjusted and adjusted.

    x' = x - h^2/2 grad E(x) + h z,   z ~ N(0, I)                                                                  (1)

Unadjusted, a normal law of variance V settles at V/(1 - h^2/(4 V)). Adjusted, x' is accepted with probability
min(1, a),

    log a = E(x) - E(x') + log q(x | x') - log q(x' | x),   log q(y | x) = -|y - x + h^2/2 grad E(x)|^2/(2 h^2)    (2)

and the law is kept exactly (Roberts and Tweedie, "Exponential Convergence of Langevin Distributions and Their Discrete
Approximations", 1996, section 1.4). In high dimension 0.574 is the best share of accepted moves (Roberts and Rosenthal,
"Optimal Scaling of Discrete Approximations to Langevin Diffusions", 1998, theorem 2).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .base import Kernel, Law, Place, accepted, energies, wide


def langevin_move(place: Place, length: Tensor | float, noise: Tensor) -> Tensor:
    """Equation (1), (B, *)."""
    h = wide(length, place.x)
    return place.x - h * h / 2 * place.slope + h * noise


def log_ratio(place: Place, there: Place, rise: Tensor, length: Tensor | float, noise: Tensor) -> Tensor:
    """log a of (2), (B,).

    Args:
        place, there: x and x'.
        rise: E(x') - E(x), (B,).
        length, noise: h and z, which led from x to x'.
    """
    h = wide(length, place.x)
    # With d = x' - x, the two exponents of (2) are |z|^2/2 and |d - h^2/2 grad E(x')|^2/(2 h^2).
    back = (there.x - place.x) / h - h / 2 * there.slope
    return 0.5 * (noise.square() - back.square()).flatten(1).sum(1) - rise


@dataclass(frozen=True)
class Unadjusted(Kernel):
    """Every move (1) is made: it needs no energy, and its law is off by a share of h^2.

    The chance that it returns is that of (2) with E(x') - E(x) by the trapezoidal rule along the move, from the slopes
    at its ends: it tells how far the law is off, and a warm-up keeps it near 1 (after Sjöberg, Lindqvist and Schön,
    "MCMC-Correction of Score-Based Diffusion Models for Model Composition", 2023).
    """

    @property
    def draws(self) -> int:
        return 0

    @property
    def evaluations(self) -> int:
        return 1

    @property
    def aim(self) -> float:
        return 0.98

    def __call__(
        self, law: Law, place: Place, length: Tensor | float, noise: Tensor, coins: Tensor
    ) -> tuple[Place, Tensor]:
        """The next place, and the chance with which an adjusted move would have been accepted."""
        there = law(langevin_move(place, length, noise))
        rise = ((place.slope + there.slope) / 2 * (there.x - place.x)).flatten(1).sum(1)
        return there, log_ratio(place, there, rise, length, noise).clamp_max(0).exp()


@dataclass(frozen=True)
class Adjusted(Kernel):
    """Moves (1), accepted by (2)."""

    @property
    def draws(self) -> int:
        return 1

    @property
    def evaluations(self) -> int:
        return 1

    @property
    def aim(self) -> float:
        return 0.574

    def __call__(
        self, law: Law, place: Place, length: Tensor | float, noise: Tensor, coins: Tensor
    ) -> tuple[Place, Tensor]:
        """The next place and the chance of each proposal.

        Raises:
            UserError: a law whose energy is not known.
        """
        there = law(langevin_move(place, length, noise))
        before, after = energies(place, there)
        return accepted(place, there, log_ratio(place, there, after - before, length, noise), coins[0])
