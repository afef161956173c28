r"""Solvers of symbols that see the reverse process as jumps at a rate.

With R(y; p) the rate from x_t to y of the denoiser's posterior (`Categorical.expected_rates`), a step of h = t - s
leaves x_t with probability min(1, h sum R) (Euler), or 1 - exp(-h sum R) (the rates held fixed for the step, and one
jump of a place at most: tau-leaping; Campbell et al., "A Continuous Time Framework for Discrete Denoising Models",
2022, section 4.3), for y in proportion to R. The step that ends at the data is the bridge: there the rates have no
bound.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ..denoisers import Denoiser
from ..processes.symbols import pick
from .symbols import categorical


class _Jumps(ABC):
    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1
    name: ClassVar[str]

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        process = categorical(denoiser, f"the solver {self.name}")
        x0 = denoiser(x, t)
        if s == 0:
            return process.bridge(x, x0, t, s, noise[0]), carry
        rates = process.expected_rates(x, x0, t) * (t - s).item()
        total = rates.sum(-1, keepdim=True)
        leave = self.leaving(total)
        jumps = leave * rates / total.clamp_min(torch.finfo(total.dtype).tiny)
        return pick(jumps + (1 - leave) * F.one_hot(x, process.num_symbols), noise[0]), carry

    @abstractmethod
    def leaving(self, total: Tensor) -> Tensor:
        """The probability of a jump, for the expected number of jumps."""


@dataclass(frozen=True)
class TokenEuler(_Jumps):
    """Jumps with probability h sum R, at most 1."""

    name: ClassVar[str] = "euler"

    def leaving(self, total: Tensor) -> Tensor:
        return total.clamp_max(1)


@dataclass(frozen=True)
class TauLeaping(_Jumps):
    """Jumps with probability 1 - exp(-h sum R)."""

    name: ClassVar[str] = "tau-leaping"

    def leaving(self, total: Tensor) -> Tensor:
        return -torch.expm1(-total)
