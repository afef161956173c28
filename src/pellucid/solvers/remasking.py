r"""Ancestral sampling of a masked model that takes symbols back (Wang et al., "Remasking Discrete Diffusion Models with
Inference-Time Scaling", 2025): what was restored too early can still be corrected.

A symbol is masked again with probability h, and restored the more often, so that all marginals q(x_t | x_0) stay:

    x_t = mask:   x_s = x_0 with probability (alpha_s - (1 - h) alpha_t)/(1 - alpha_t), else the mask               (1)
    x_t = x_0:    x_s = mask with probability h, else x_0                                                          (2)

for 0 <= h <= min(1, (1 - alpha_s)/alpha_t).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.symbols import pick
from .symbols import masking


@dataclass(frozen=True)
class Remasking:
    """Equations (1) and (2) with h = min(cap, rescale (1 - alpha_s)/alpha_t).

    Attributes:
        cap: the largest h.
        rescale: the largest share of what h may be.

    Raises:
        UserError: one of them outside [0, 1].
    """

    cap: float = 0.05
    rescale: float = 1.0

    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 <= self.cap <= 1 or not 0 <= self.rescale <= 1:
            raise UserError(f"cap and rescale lie in [0, 1], got {self.cap} and {self.rescale}")

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        process, mask = masking(denoiser, "the solver remasking")
        survival = process.survival
        alpha_t, lost_t, lost_s = (f.item() for f in (survival.alpha(t), survival.lost(t), survival.lost(s)))
        back = min(self.cap, 1.0, self.rescale * lost_s / max(alpha_t, 1e-300))
        # 1 - (1) as written would cancel where both alphas are near 1.
        kept = (lost_s - back * alpha_t) / lost_t
        x0 = denoiser(x, t).double().softmax(-1)
        ends = F.one_hot(torch.full_like(x, mask), process.num_symbols).double()
        masked = (x == mask)[..., None]
        stays = F.one_hot(x, process.num_symbols).double()
        law = torch.where(masked, (1 - kept) * x0 + kept * ends, (1 - back) * stays + back * ends)
        return pick(law, noise[0]), carry
