"""Classifier-free guidance of symbols, whose estimates are logits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .pair import Pair


@dataclass(frozen=True)
class GuidedLogits(Pair):
    """log p(x_0 given x_t, y)^w p(x_0 given x_t)^(1 - w), place by place and up to a number of each place.

    A symbol that either law rules out stays ruled out. As with numbers, what is sampled is not the tilted law of whole
    items, but of each place on its own.

    Source: Schiff et al., "Simple Guidance Mechanisms for Discrete Diffusion Models", 2024, eq. 9.
    """

    def combine(self, c: Tensor, u: Tensor) -> Tensor:
        out = (c == -math.inf) | (u == -math.inf)
        given, away = (x.masked_fill(out, 0.0) for x in (c.log_softmax(-1), u.log_softmax(-1)))
        return torch.lerp(away, given, self.scale).masked_fill(out, -math.inf)
