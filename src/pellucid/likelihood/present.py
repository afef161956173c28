"""Of series with ends of their own or missing values, the law of what is there alone.

A denoiser that is told what is there of an item gives E[x_0 given x_t] of those values, whatever the others would be.
So it is a denoiser of vectors of these values, whose density is one like any other: p(values given which there are).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..denoisers import Denoiser
from ..nn.spec import PRESENCE
from ..processes.base import Process


@dataclass(frozen=True, eq=False)
class Present:
    """A denoiser of the values that are there, (B, D), of items of which all lack the same.

    Attributes:
        denoiser: of series (B, C, L), told what is there.
        there: (C, L) bool, D of them true.
    """

    denoiser: Denoiser
    there: Tensor

    @property
    def process(self) -> Process:
        """That of the denoiser."""
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """E[x_0 given x_t] of the values: x of shape (B, D), t of shape () or (B,)."""
        there = self.there.to(x.device)
        whole = x.new_zeros(len(x), *there.shape).index_put((self._rows(x), *there.nonzero().T[:, None]), x)
        told = {**cond, PRESENCE: there.to(x).expand(len(x), -1, -1)}
        return self.denoiser(whole, t, **told)[:, there]

    def _rows(self, x: Tensor) -> Tensor:
        return x.new_tensor(range(len(x))).long()[:, None]


def patterns(x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What is there of items (B, C, L), NaN where nothing is: each pattern (C, L) that occurs, and its items' rows."""
    there = ~x.isnan()
    found, which = there.flatten(1).unique(dim=0, return_inverse=True)
    return [(found[k].reshape(x.shape[1:]), (which == k).nonzero()[:, 0]) for k in range(len(found))]
