"""Losses of a denoiser of symbols, place by place, so that padding can be left out."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..denoisers import Denoiser
from ..processes.symbols import symbols


def token_losses(denoiser: Denoiser, x0: Tensor, t: Tensor, noise: Tensor, **cond: Any) -> Tensor:
    """The bound's integrand at times t, in nats, for each place, (B, L): `Symbols.integrand`. Its mean over t uniform
    in (0, 1], summed over the places of an item, bounds -log p(x_0).

    Args:
        denoiser: logits of p(x_0 given x_t), with a process on symbols.
        x0: symbols, (B, L).
        t: times in (0, 1], (B,).
        noise: uniform numbers, (B, L).
        cond: conditions, passed to the denoiser.
    """
    process = symbols(denoiser.process, "the loss of tokens")
    x = process.corrupt(x0, t, noise)
    # Through __call__, so that distributed wrappers, compilation and hooks see it.
    return process.integrand(denoiser(x, t, **cond), x0, x, t)


def token_loss(
    denoiser: Denoiser, x0: Tensor, t: Tensor, noise: Tensor, *, real: Tensor | None = None, **cond: Any
) -> Tensor:
    """The mean of `token_losses` over an item's places, in nats for each, (B,).

    Args:
        real: which places hold symbols of the item and not padding, bool (B, L); all if absent. An item needs one.
    """
    losses = token_losses(denoiser, x0, t, noise, **cond)
    if real is None:
        return losses.flatten(1).mean(1)
    return (losses * real).flatten(1).sum(1) / real.flatten(1).sum(1)
