"""Several conditions at once, each with its own weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.tensors import pad
from .base import Guidance
from .branches import filled, together


@dataclass(frozen=True)
class Composed(Guidance):
    """u + w sum_i w_i (c_i - u), with c_i the estimate under the i-th condition: their conjunction, and with a negative
    weight w_i a negation.

    At w = w_i = 1 it is exact where the conditions are independent given x_t, for instance where each speaks of values
    of its own and these are independent; elsewhere it takes p(x_t) prod_i p(y_i given x_t) for p(x_t given y).

    u has the call's conditions with `negative` in their place; c_i is u with the i-th part in its place. All branches
    in one call on (n + 1) B items.

    Attributes:
        parts: the n conditions, each a mapping of names to numbers or tensors that broadcast to (B, *).
        weights: (n,), the w_i; 1 each if None.

    Raises:
        UserError: as `Guidance`; no parts, or weights that are not one finite number for each.

    Source: Liu et al., "Compositional Visual Generation with Composable Diffusion Models", 2022, eq. 11 and 13.

    >>> from pellucid import SCHEDULES, Gaussian, MixtureOracle
    >>> law = MixtureOracle(
    ...     Gaussian(SCHEDULES["vp"]()), torch.tensor([[-1.0], [1.0]]), torch.zeros(2), labels=torch.tensor([0, 1])
    ... )
    >>> both = Composed(law, 1.0, {"label": -1}, parts=({"label": 0}, {"label": 1}))
    >>> both(torch.zeros(1, 1), torch.tensor(0.5))  # opposite wishes cancel
    tensor([[0.]])
    """

    parts: tuple[Mapping[str, Any], ...] = field(kw_only=True)
    weights: tuple[float, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.parts or not all(self.parts):
            raise UserError('composition needs conditions: parts=({"label": 3}, {"label": 5})')
        if self.weights is not None and (
            len(self.weights) != len(self.parts) or not all(math.isfinite(w) for w in self.weights)
        ):
            raise UserError(f"{len(self.parts)} parts need as many finite weights, got {self.weights}")
        absent = sorted({name for part in self.parts for name in part} - set(self.negative))
        if absent:
            raise UserError(f"composition needs what to move away from: name {', '.join(absent)} in `negative`")

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        acts = self.acts(t)
        weights = self.weights or (1.0,) * len(self.parts)
        base = {**cond, **self.negative}
        asked = [{**base, **part} for part in self.parts]
        if weights == (1.0,) and acts is False:
            return self.denoiser(x, t, **filled(x, asked[0]))
        *c, u = together(self.denoiser, x, t, [*asked, base])
        move = sum((w * (one - u) for w, one in zip(weights, c, strict=True)), start=torch.zeros_like(u))
        if isinstance(acts, bool):
            return torch.add(u, move, alpha=self.scale if acts else 1.0)
        scale = torch.where(acts, u.new_tensor(self.scale), u.new_tensor(1.0))
        return u + pad(scale, u) * move
