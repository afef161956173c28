"""Guidance along the directions that change the picture, without the one that only saturates it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.tensors import pad
from .pair import Pair


@dataclass(frozen=True)
class Projected(Pair):
    """With d = c - u cut to a norm r of at most, and d = d_parallel + d_across along c and across it,

        c + (w - 1) (d_across + eta d_parallel),    d = (c - u) min(1, r/|c - u|)                                  (1)

    so eta = 1 without a threshold is classifier-free guidance, and eta = 0 turns the estimate without scaling it up.

    The paper also adds to d a negative multiple of its past values (reverse momentum). That is left out: a denoiser is
    a function of (x, t), and "the past value" has no meaning of its own where a solver asks several times in one step,
    steps back, or shares the batch with others. A part of its effect is that of a lower scale at the start, which the
    interval gives.

    Attributes:
        eta: the weight of the parallel part.
        norm_threshold: r, in the data's units, of a whole item.

    Raises:
        UserError: as `Pair`; a norm that is not positive, or eta that is not finite.

    Source: Sadat et al., "Eliminating Oversaturation and Artifacts of High Guidance Scales in Diffusion Models", 2024,
    section 4 and algorithm 1, with momentum 0.
    """

    eta: float = 0.0
    norm_threshold: float = math.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.norm_threshold > 0:
            raise UserError(f"norm_threshold must be positive, got {self.norm_threshold}")
        if not math.isfinite(self.eta):
            raise UserError(f"eta must be a finite number, got {self.eta}")

    def combine(self, c: Tensor, u: Tensor) -> Tensor:
        d = c - u
        if self.norm_threshold < math.inf:
            d = d * pad((self.norm_threshold / d.flatten(1).norm(dim=1)).clamp_max(1), d)
        flat, axis = d.flatten(1), torch.nn.functional.normalize(c.flatten(1), dim=1)
        parallel = ((flat * axis).sum(1, keepdim=True) * axis).reshape(d.shape)
        return c + (self.scale - 1) * (d + (self.eta - 1) * parallel)
