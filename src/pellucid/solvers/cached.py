"""Ancestral sampling of a masked model that asks the network only where a symbol has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser
from .base import on_rows
from .symbols import masking


@dataclass(frozen=True)
class CachedAncestral:
    """The bridge with the last logits, as long as an item is what they were computed for.

    It is `Ancestral` exactly where the denoiser does not depend on time, as a masked one need not (Sahoo et al.,
    "Simple and Effective Masked Diffusion Language Models", 2024). The network then sees an item at most as often as
    there are steps, and at most as often as it has places: an item that is complete is not looked at again.
    """

    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        process, mask = masking(denoiser, "the solver cached")
        if carry is None:
            logits = denoiser(x, t)
        else:
            seen, logits = carry
            stale = (x != seen).flatten(1).any(1) & (x == mask).flatten(1).any(1)
            rows = stale.nonzero()[:, 0]
            if len(rows):
                logits = logits.index_copy(0, rows, on_rows(denoiser, x, t, rows))
        return process.bridge(x, logits, t, s, noise[0]), (x, logits)
