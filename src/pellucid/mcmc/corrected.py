r"""A solver whose every step is followed by moves that leave the noised law reached in peace.

A composed law (`compose`) has a slope and an energy at each noise level, but no diffusion leads from one level to the
next: what a solver makes of it is off, and moves at each level put it right (Du et al., "Reduce, Reuse, Recycle", 2023,
algorithm 1: annealed Markov chains). The moves' lengths are found level by level on a pilot, then frozen: so sample i
goes on to depend on (seed, i) alone.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..processes.gaussian import Gaussian
from ..solvers import Solver
from .base import Kernel, at_time
from .chains import run_chains


@dataclass(frozen=True)
class Lengths:
    """A moves' length for each noise level: log h, linear in log sigma/alpha between those known.

    Attributes:
        levels: log(sigma/alpha), rising.
        lengths: log h there.
    """

    levels: tuple[float, ...]
    lengths: tuple[float, ...]

    def at(self, level: float) -> float:
        """h at log(sigma/alpha) = level; beyond the ends, that of the end."""
        i = bisect_left(self.levels, level)
        if i in (0, len(self.levels)):
            return math.exp(self.lengths[min(i, len(self.levels) - 1)])
        low, high = self.levels[i - 1], self.levels[i]
        share = (level - low) / (high - low)
        return math.exp((1 - share) * self.lengths[i - 1] + share * self.lengths[i])


def log_level(process: Gaussian, t: Tensor) -> float:
    """log(sigma/alpha) at a time of shape ()."""
    return math.log(float(process.schedule.sigma(t)) / float(process.schedule.alpha(t)))


@dataclass(frozen=True)
class Corrected:
    """Each step of `solver`, then `moves` of `kernel` at the level reached; none at t = 0, where there is no noise.

    It is a solver like any other: under the one loop over time, with guidance and restoration.

    Attributes:
        solver: what goes from level to level.
        kernel: the move.
        moves: after each step.
        lengths: from `tuned_lengths`.
        leader: what the solver follows in the denoiser's place, where its levels are those of another flow.
    """

    solver: Solver
    kernel: Kernel
    moves: int
    lengths: Lengths
    leader: Denoiser | None = None

    def __post_init__(self) -> None:
        if self.moves < 1:
            raise UserError(f"give at least 1 move for each step, got {self.moves}")

    @property
    def draws(self) -> int:
        """The solver's own, and for each move one and one for each of its coins."""
        return self.solver.draws + self.moves * (1 + self.kernel.draws)

    @property
    def evaluations(self) -> int:
        """The solver's own and the moves'; each move's begins with one more."""
        return self.solver.evaluations + self.moves * self.kernel.evaluations + 1

    @property
    def order(self) -> int:
        """That of the solver: what the moves leave does not fall with the step."""
        return self.solver.order

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        own, rest = noise[: self.solver.draws], noise[self.solver.draws :]
        x, carry = self.solver(self.leader or denoiser, x, t, s, own, carry)
        process = denoiser.process
        if not isinstance(process, Gaussian) or float(process.schedule.sigma(s)) == 0:
            return x, carry
        law = at_time(denoiser, s)
        place = law(x)
        length = self.lengths.at(log_level(process, s))
        for part in rest.chunk(self.moves):
            # The driver hands out normal numbers; an item's first one, through their distribution function, is a coin.
            coins = (
                torch.special.ndtr(part[1:].flatten(2)[..., 0]) if self.kernel.draws else part.new_empty((0, len(x)))
            )
            place, _ = self.kernel(law, place, length, part[0], coins)
        return place.x, None  # a multistep solver's past is of states that have moved on


@dataclass(frozen=True)
class Pilot:
    """What a pilot found: lengths, and at each noise level (falling) the mean probability of accepting a move."""

    lengths: Lengths
    acceptance: tuple[float, ...]


@torch.no_grad()
def tuned_lengths(
    denoiser: Denoiser,
    x: Tensor,
    times: Tensor,
    solver: Solver,
    kernel: Kernel,
    *,
    stream: Stream,
    warmup: int = 30,
    moves: int = 10,
    leader: Denoiser | None = None,
) -> Pilot:
    """Sends a pilot down a time grid and tunes the moves' length at each level by dual averaging.

    Args:
        denoiser: of the laws.
        x: the pilot's start, (B, *), drawn from the law at times[0].
        times: (N + 1,), falling.
        solver: from level to level; deterministic or not.
        kernel: the move.
        stream: of the pilot, not that of the samples.
        warmup: moves at each level that tune.
        moves: further ones at each level, at the length found, whose acceptance is told.
        leader: as in `Corrected`.
    """
    process = denoiser.process
    assert isinstance(process, Gaussian)
    times = times.double().cpu()
    found: list[tuple[float, float]] = []
    told, step = [], 0
    length = 0.0
    for i, s in enumerate(times):
        sigma = float(process.schedule.sigma(s))
        if sigma == 0:
            break
        if i:
            fresh = stream.normal(x.shape[1:], step=step, num_draws=solver.draws)[0].to(x) if solver.draws else x[:0]
            x, _ = solver(leader or denoiser, x, times[i - 1], s, fresh, None)
            step += 1
        length = length or sigma
        law = at_time(denoiser, s)
        made = run_chains(
            law, x, kernel, stream=stream, num_moves=moves, length=length, warmup=warmup, every=moves, step=step
        )
        x, length, step = made.place.x, made.length, step + warmup + moves
        told.append(made.acceptance.mean().item())
        found.append((log_level(process, s), math.log(length)))
    if not found:
        raise UserError("give a time grid with at least one time above 0")
    found.sort()
    return Pilot(Lengths(*(tuple(column) for column in zip(*found, strict=True))), tuple(told))
