"""Running chains: a warm-up that tunes the moves' length, then moves of that length whose states are kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream
from .base import Kernel, Law, Place
from .tuning import DualAveraging


@dataclass(frozen=True)
class Chains:
    """What chains did after the warm-up.

    Attributes:
        draws: their states, (kept, B, *).
        place: where they end.
        length: the moves' length h, frozen after the warm-up.
        acceptance: each chain's mean probability of accepting a proposal, (B,).
    """

    draws: Tensor
    place: Place
    length: float
    acceptance: Tensor


@torch.no_grad()
def run_chains(
    law: Law,
    x: Tensor,
    kernel: Kernel,
    *,
    stream: Stream,
    num_moves: int,
    length: float,
    warmup: int = 0,
    every: int = 1,
    step: int = 0,
) -> Chains:
    """Runs chains side by side.

    In the warm-up the length is tuned, for all chains together, by dual averaging towards the share of accepted moves
    that the kernel aims at. Without a warm-up, chain i is a function of (seed, id of i, length) alone.

    Args:
        law: what is left in peace, such as `by_energy(energy)`.
        x: where the chains start, (B, *).
        kernel: the move.
        stream: the random numbers; move i uses the stream's step `step` + i, the warm-up's moves come first.
        num_moves: after the warm-up.
        length: h at the start.
        warmup: moves that tune.
        every: keep each so-manieth state.
        step: the first step of the stream.

    Raises:
        UserError: counts or a length out of range; a law without energies, where the kernel needs them.
    """
    if num_moves < 1 or warmup < 0 or every < 1 or not length > 0:
        raise UserError(
            f"chains need at least 1 move, a warm-up of 0 or more, every 1 or more and a positive length; got "
            f"{num_moves}, {warmup}, {every} and {length}"
        )
    place, tuned = law(x), length
    if warmup:
        place, tuned = tune(law, place, kernel, stream=stream, num_moves=warmup, length=length, step=step)
    kept, total = [], torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for i in range(num_moves):
        place, chance = kernel(law, place, tuned, *randomness(kernel, x, stream, step + warmup + i))
        total += chance
        if (i + 1) % every == 0:
            kept.append(place.x)
    draws = torch.stack(kept) if kept else x.new_empty((0, *x.shape))
    return Chains(draws, place, tuned, total / num_moves)


@torch.no_grad()
def tune(
    law: Law, place: Place, kernel: Kernel, *, stream: Stream, num_moves: int, length: float, step: int = 0
) -> tuple[Place, float]:
    """The warm-up alone: where the chains then are, and the length that was found."""
    state = DualAveraging.of(length, kernel.aim)
    for i in range(num_moves):
        place, chance = kernel(law, place, state.length, *randomness(kernel, place.x, stream, step + i))
        state = state.after(chance.mean().item())
    return place, state.tuned


def randomness(kernel: Kernel, x: Tensor, stream: Stream, step: int) -> tuple[Tensor, Tensor]:
    """The normal (B, *) and uniform (draws, B) numbers of one move."""
    noise = stream.normal(x.shape[1:], step=step)[0, 0].to(x)
    if not kernel.draws:
        return noise, x.new_empty((0, len(x)))
    return noise, stream.uniform((), step=step, draw=1, num_draws=kernel.draws)[0].to(x)
