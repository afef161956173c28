"""Canaries: what an audit sees of items that were put into the training set on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..foundations.measured import Measured, proportion


@dataclass(frozen=True)
class Canaries:
    """Items that were put into the training set a known number of times, so that the audit can show what it sees.

    Attributes:
        repeats: how often each of the n was, (n,).
        scores: their membership score, (n,).
        cut: the score that 1 % of held-out items pass.
        copied: how many samples are copies of each, (n,).
    """

    repeats: Tensor
    scores: Tensor
    cut: float
    copied: Tensor

    def rows(self) -> list[tuple[int, Measured, Measured]]:
        """For each number of repeats: how many of them membership tells, and how many came out as copies."""
        found = []
        for count in sorted(set(self.repeats.tolist())):
            here = self.repeats == count
            told, out = int((self.scores[here] > self.cut).sum()), int((self.copied[here] > 0).sum())
            total = int(here.sum())
            found.append((count, proportion("told", told, total), proportion("copied", out, total)))
        return found
