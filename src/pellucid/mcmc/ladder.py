r"""Ladders of laws, from one whose normaliser is known to one whose is wanted, and chains that climb them.

The rungs may be geometric, exp(-(1 - b) E_0 - b E_1), or a denoiser's noised laws from much noise to little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..energies.denoisers import HasEnergy
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from .base import Kernel, Law, Place, by_energy
from .chains import Chains, run_chains

Energy = Callable[[Tensor], Tensor]  # x (B, *) to E(x), (B,)


@dataclass(frozen=True)
class NormalBase:
    """N(mean, std^2 I), normalised: where a ladder stands.

    Attributes:
        mean: one item, (*).
        std: a number.
    """

    mean: Tensor
    std: float

    def energy(self, x: Tensor) -> Tensor:
        """-log N(x), (B,), the normaliser included."""
        flat = ((x - self.mean.to(x)) / self.std).flatten(1)
        return 0.5 * flat.square().sum(1) + flat.shape[1] * (math.log(self.std) + 0.5 * math.log(2 * math.pi))

    def draws(self, stream: Stream) -> Tensor:
        """Independent draws, one for each id of the stream, (B, *); its step 0 is used."""
        noise = stream.normal(self.mean.shape, step=0)[0, 0]
        return self.mean + self.std * noise.to(self.mean)


@dataclass(frozen=True)
class Ladder:
    """Energies from the base's, which is the first rung, to the one of interest, the last."""

    base: NormalBase
    rungs: tuple[Energy, ...]
    betas: tuple[float, ...] = ()


def geometric(base: NormalBase, target: Energy, *, rungs: int = 32, power: float = 2.0) -> Ladder:
    """E_b = (1 - b) E_0 + b E_1 at b = (k/rungs)^power, k = 0 ... rungs: closest where a wide law begins to shrink.

    Raises:
        UserError: fewer than 2 rungs, or a power below 1.
    """
    if rungs < 2 or not power >= 1:
        raise UserError(f"a ladder has at least 2 rungs and a power of at least 1, got {rungs} and {power}")
    betas = tuple((k / rungs) ** power for k in range(rungs + 1))

    def between(beta: float) -> Energy:
        return lambda x: (1 - beta) * base.energy(x) + beta * target(x)

    return Ladder(base, tuple(between(beta) for beta in betas), betas)


def noised(denoiser: HasEnergy, shape: Sequence[int], times: Tensor) -> Ladder:
    """The process's prior, then the noised laws p_t of a denoiser at falling times, (N,), all above 0."""
    base = NormalBase(torch.zeros(tuple(shape)), denoiser.process.prior_std())

    def at(t: Tensor) -> Energy:
        return lambda x: denoiser.energy(x, t)

    return Ladder(base, (base.energy, *(at(t) for t in times.double().cpu())))


def climb(
    ladder: Ladder, x: Tensor, kernel: Kernel, *, stream: Stream, moves: int, lengths: Sequence[float]
) -> Iterator[tuple[Place, Chains]]:
    """Walks the rungs above the base: at each, where the chains stand by its law, and what they then do on it.

    Args:
        ladder: of laws.
        x: draws from the base, (B, *).
        kernel: the move.
        stream: whose steps from 1 on are used.
        moves: on each rung.
        lengths: of the moves, one for each rung above the base.
    """
    for k, (energy, length) in enumerate(zip(ladder.rungs[1:], lengths, strict=True)):
        law: Law = by_energy(energy)
        start = law(x)
        made = run_chains(law, x, kernel, stream=stream, num_moves=moves, length=length, step=1 + k * moves)
        x = made.place.x
        yield start, made


def rung_lengths(ladder: Ladder, kernel: Kernel, *, stream: Stream, warmup: int = 20) -> tuple[float, ...]:
    """A length for each rung above the base, tuned on chains of their own, so that those that count know it beforehand.

    Raises:
        UserError: moves that do not keep a rung's law exactly.
    """
    if not kernel.exact:
        raise UserError("a normaliser needs moves that keep the law exactly: use 'mala' or 'hmc'")
    x, length, found = ladder.base.draws(stream), ladder.base.std, []
    for k, energy in enumerate(ladder.rungs[1:]):
        made = run_chains(
            by_energy(energy), x, kernel, stream=stream, num_moves=1, warmup=warmup, length=length, step=1 + k * warmup
        )
        x, length = made.place.x, made.length
        found.append(length)
    return tuple(found)
