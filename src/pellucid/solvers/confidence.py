r"""Masked symbols in the order of confidence (Chang et al., "MaskGIT: Masked Generative Image Transformer", 2022,
section 3.2): fewer steps, at the price of another law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.symbols import pick
from .symbols import masking


@dataclass(frozen=True)
class Confidence:
    """Draws a symbol for every masked place and keeps the surest, so many that the share of masks follows the schedule.

    Biased: symbols that are probable where they stand are restored first, and so come too often. With `by_law`, no
    spread and as many steps as places it is not: which place comes next then depends on what is known, not on what was
    drawn, and any such order factorises the law.

    Attributes:
        temperature: of the symbols, whose law is p^(1/temperature).
        spread: of the order, by Gumbel noise of scale spread times 1 - alpha: MaskGIT's way to more variety.
        by_law: order places by their most probable symbol, not by the symbol drawn.

    Raises:
        UserError: a temperature that is not positive, or a negative spread.
    """

    temperature: float = 1.0
    spread: float = 0.0
    by_law: bool = False

    draws: ClassVar[int] = 2
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not self.temperature > 0 or not self.spread >= 0:
            raise UserError(
                f"the temperature must be positive and the spread at least 0, got {self.temperature} and {self.spread}"
            )

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        process, mask = masking(denoiser, "the solver confidence")
        logits = denoiser(x, t).double().flatten(1, -2)
        shape, x = x.shape, x.flatten(1)
        u, ranks = noise.flatten(2)
        law = (logits / self.temperature).softmax(-1)
        drawn = pick(law, u)
        sure = law.amax(-1) if self.by_law else law.gather(-1, drawn[..., None])[..., 0]
        score = sure.log()
        if self.spread > 0:
            # Gumbel noise in float64: a coarser grid would cut its upper tail and sharpen the order.
            score = score - self.spread * process.survival.lost(t).item() * (-ranks.log()).log()
        masked = x == mask
        share = (process.survival.lost(s) / process.survival.lost(t)).item()
        # The round-off of a share must not take a whole symbol more.
        left = (masked.sum(1, keepdim=True) * share + 1e-9).floor()
        place = score.masked_fill(~masked, -torch.inf).argsort(dim=1, descending=True).argsort(dim=1)
        chosen = masked & (place < masked.sum(1, keepdim=True) - left)
        return torch.where(chosen, drawn, x).reshape(shape), carry
