"""Symbols around known ones: infilling by clamping, under every solver of masked models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.base import Process
from ..processes.symbols import certain
from ..solvers.base import Rowwise
from ..solvers.symbols import masking


@dataclass(frozen=True, eq=False)
class Infill:
    """A masked denoiser that is told some symbols of the item it looks for.

    It shows its inner denoiser the known symbols wherever they stand masked, and knows them for certain. A mask says
    nothing of what it hides, so p(x_0 given x_t and the known symbols) is what the inner denoiser gives for x_t with
    the known symbols put in: with the exact denoiser the samples follow the exact conditional law.

    Attributes:
        denoiser: of a masking process.
        known: int64 (B, *), one row for each item of the batch; the mask where nothing is known.

    Raises:
        UserError: a process without a mask, where clamping would give another law than the conditional one; symbols
            outside its alphabet.
    """

    denoiser: Denoiser
    known: Tensor

    def __post_init__(self) -> None:
        process, _ = masking(self.denoiser, "infilling")
        if self.known.is_floating_point() or not bool(((self.known >= 0) & (self.known < process.num_symbols)).all()):
            raise UserError(f"known symbols are whole numbers from 0 to {process.num_symbols - 1} (the mask: unknown)")

    @property
    def process(self) -> Process:
        """That of the denoiser."""
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """Logits of p(x_0 given x_t and the known symbols), (B, *, K).

        Raises:
            UserError: a batch of another shape than the known symbols.
        """
        if self.known.shape != x.shape:
            raise UserError(f"the known symbols have the shape {tuple(self.known.shape)}, the items {tuple(x.shape)}")
        process, mask = masking(self.denoiser, "infilling")
        given = self.known != mask
        logits = self.denoiser(torch.where(given, self.known, x), t, **cond)
        return torch.where(given[..., None], certain(self.known, process.num_symbols).to(logits), logits)

    def rows(self, index: Tensor, num: int) -> Denoiser | None:
        """The denoiser of some items of a batch."""
        part = self.denoiser.rows(index, num) if isinstance(self.denoiser, Rowwise) else None
        return None if part is None else Infill(part, self.known[index])
