"""Guidance from two estimates of one network: under the conditions asked for, and under the negative ones."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.tensors import pad
from .base import Guidance
from .branches import together


@dataclass(frozen=True)
class Pair(Guidance):
    """c and u by one call on 2 B items; what becomes of them is the subclass's.

    Where the scale does not act, and where the call gives no condition to be guided by, the plain estimate is returned
    for the price of one branch.

    Raises:
        UserError: as `Guidance`; at a call, no `negative`, or one that names none of the call's conditions.
    """

    @abstractmethod
    def combine(self, c: Tensor, u: Tensor) -> Tensor:
        """The guided estimate from the conditional one and the one to move away from, all (B, *)."""

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        given = [name for name, value in cond.items() if value is not None]
        acts = self.acts(t)
        if acts is False or not given:
            return self.denoiser(x, t, **cond)
        if not any(name in self.negative for name in given):
            named = ", ".join(self.negative) or "nothing"
            raise UserError(
                f"guidance needs the conditions to move away from: the call gave {', '.join(given)}, and `negative` "
                f"names {named}; give the null label, or a negative prompt"
            )
        away = {name: self.negative.get(name, value) if name in given else value for name, value in cond.items()}
        c, u = together(self.denoiser, x, t, [cond, away])
        guided = self.combine(c, u)
        return guided if acts is True else torch.where(pad(acts, c), guided, c)
