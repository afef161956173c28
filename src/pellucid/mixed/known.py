"""Rows of which some columns are known: the exact conditional law of the others, under every solver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.product import Product


@dataclass(frozen=True, eq=False)
class Known:
    """A denoiser of rows that is told some columns of the row it looks for.

    It shows its inner denoiser x_0 in the known columns and x_t in the others, and says which are which. What then is
    asked for is E[x_0 given x_t of the others and x_0 of the known ones]: the denoiser of the conditional law under the
    same process. So with an exact denoiser every solver samples that law; no projection and no guidance is involved.

    Attributes:
        denoiser: called as denoiser(x, t, known=...).
        values: x_0, packed, (B, C); anything where it is not known.
        known: bool (B, C).

    Raises:
        UserError: a process that is no product, or parts of different shapes.
    """

    denoiser: Denoiser
    values: Tensor
    known: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.denoiser.process, Product):
            raise UserError("known columns are those of rows: this denoiser's process is no product of fields")
        columns = self.denoiser.process.columns
        if self.values.shape != self.known.shape or self.values.shape[1:] != (columns,):
            raise UserError(
                f"rows have {columns} columns; the values have the shape {tuple(self.values.shape)} and what is known "
                f"of them {tuple(self.known.shape)}"
            )

    @property
    def process(self) -> Product:
        """That of the denoiser."""
        assert isinstance(self.denoiser.process, Product)
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, *args: Any, **cond: Any) -> Tensor:
        """The packed answer of the conditional law, (B, P)."""
        shown = torch.where(self.known, self.values.to(x), x)
        return self.denoiser(shown, t, known=self.known, **cond)
