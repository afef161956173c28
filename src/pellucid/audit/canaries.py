r"""Canaries: what an audit sees of items that were put into the training set on purpose.

A canary is told by membership where its score is higher than all but 1 % of its twins': items that were marked in the
same way and never trained on. Its *exposure* is by how many bits its rank among the twins is ahead of the last,

    log2(n + 1) - log2(rank),    rank 1 for a score above all n twins                                                (1)

(Carlini et al., "The Secret Sharer: Evaluating and Testing Unintended Memorization in Neural Networks", 2019, section
4.2): 1/ln 2 = 1.44 on average for a canary that the model does not know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..foundations.measured import Measured, proportion

TOLD = 0.01


@dataclass(frozen=True)
class Canaries:
    """Items that were put into the training set a known number of times, so that the audit can show what it sees.

    Attributes:
        repeats: how often each of the n was, (n,).
        scores: their membership score, (n,).
        twins: the score of items that were marked alike and never trained on, (m,).
        copied: how many samples are copies of each, (n,).
    """

    repeats: Tensor
    scores: Tensor
    twins: Tensor
    copied: Tensor

    @property
    def cut(self) -> float:
        """The score that 1 % of the twins pass."""
        return float(self.twins.quantile(1 - TOLD))

    @property
    def exposures(self) -> Tensor:
        """Equation (1) of each, (n,), in bits."""
        rank = 1 + (self.twins[None] >= self.scores[:, None]).sum(1)
        return math.log2(len(self.twins) + 1) - rank.double().log2()

    def rows(self) -> list[tuple[int, Measured, Measured]]:
        """For each number of repeats: how many of them membership tells, and how many came out as copies."""
        found = []
        for count in sorted(set(self.repeats.tolist())):
            here = self.repeats == count
            told, out = int((self.scores[here] > self.cut).sum()), int((self.copied[here] > 0).sum())
            total = int(here.sum())
            found.append((count, proportion("told", told, total), proportion("copied", out, total)))
        return found

    def sentence(self) -> str:
        """The detection curve in words."""
        parts = []
        for count, told, out in self.rows():
            times = "once" if count == 1 else f"{count} times"
            hits, made = (round(each.value * (each.count or 0)) for each in (told, out))
            parts.append(
                f"of {told.count} items that were there {times}, membership tells {hits} and {made} came out as copies"
            )
        copies = int(self.copied.sum())
        share = f" {copies:,} of the samples that are copies copy canaries." if copies else ""
        return f"Of the canaries, {'; '.join(parts)}.{share}"

    def to_json(self) -> list[dict[str, Any]]:
        """The detection curve as JSON values."""
        exposures = self.exposures
        return [
            {
                "repeats": count,
                "items": told.count,
                "told": told.__dict__,
                "copied": out.__dict__,
                "exposure": float(exposures[self.repeats == count].mean()),
                "copies": int(self.copied[self.repeats == count].sum()),
            }
            for count, told, out in self.rows()
        ]


def copies_of(nearest: Tensor, places: list[Tensor]) -> Tensor:
    """How many copies have one of an item's places for their training item, (n,).

    Args:
        nearest: the training item of each sample that is a copy, (K,).
        places: of each item all its indices in the training set.
    """
    return torch.tensor([int(torch.isin(nearest, place).sum()) for place in places])
