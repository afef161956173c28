r"""Importance sampling of times, from what the loss was so far.

Uniform numbers u fall into K equal bins. With the mean square of the losses seen in each bin, M_k, a bin is drawn with

    pi_k = (1 - kappa) sqrt(M_k)/sum sqrt(M) + kappa/K                                                             (1)

and a loss there is multiplied by 1/(K pi_k), so that its mean is what it was (Nichol and Dhariwal, "Improved Denoising
Diffusion Probabilistic Models", 2021, eq. 18). The uniform part bounds that factor by 1/kappa. Until every bin was seen
ten times, pi is uniform.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BINS = 64
_UNIFORM = 0.1  # kappa
_LEAST = 10.0
_MEMORY = 200.0  # losses of a bin over which its mean square runs


class LossHistory:
    """M_k and how often each bin was seen: all the state there is, kept in checkpoints.

    Attributes:
        squares: M, (K,), float64.
        counts: losses seen, (K,), float64.
    """

    def __init__(self, bins: int = _BINS, *, device: torch.device | str = "cpu") -> None:
        self.squares = torch.zeros(bins, dtype=torch.float64, device=device)
        self.counts = torch.zeros(bins, dtype=torch.float64, device=device)

    def shares(self) -> Tensor:
        """pi of equation (1), (K,), float64."""
        uniform = torch.full_like(self.squares, 1 / len(self.squares))
        root = self.squares.sqrt()
        if bool((self.counts < _LEAST).any()) or not bool(root.sum() > 0):
            return uniform
        return (1 - _UNIFORM) * root / root.sum() + _UNIFORM * uniform

    def warp(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers in [0, 1) to numbers whose bins have the shares pi, and 1/(K pi) of each, in u's precision."""
        shares = self.shares()
        count = len(shares)
        ends = shares.cumsum(0)
        wide = u.double()
        k = torch.searchsorted(ends, wide, right=True).clamp_max(count - 1)
        within = ((wide - (ends[k] - shares[k])) / shares[k]).clamp(0, 1 - 1e-7)
        warped = ((k + within) / count).to(u.dtype).clamp_max(1 - 2**-24)
        return warped, self.factors(warped)

    def factors(self, warped: Tensor) -> Tensor:
        """1/(K pi) at numbers that `warp` gave, in their precision."""
        count = len(self.squares)
        return (1 / (count * self.shares()[self._bins(warped)])).to(warped.dtype)

    @torch.no_grad()
    def update(self, warped: Tensor, losses: Tensor) -> None:
        """Takes in losses, (B,), without their factor, at the numbers that `warp` gave."""
        k = self._bins(warped)
        seen = torch.zeros_like(self.counts).index_add_(0, k, torch.ones_like(warped, dtype=torch.float64))
        total = torch.zeros_like(self.squares).index_add_(0, k, losses.double().square())
        # A plain mean at first, then one that forgets.
        held = self.counts.clamp_max(_MEMORY)
        self.squares = torch.where(seen > 0, (held * self.squares + total) / (held + seen), self.squares)
        self.counts = self.counts + seen

    def _bins(self, warped: Tensor) -> Tensor:
        count = len(self.squares)
        return (warped.double() * count).long().clamp(0, count - 1)

    def tensors(self) -> dict[str, Tensor]:
        """The state by name; `restore` takes it back."""
        return {"history/squares": self.squares, "history/counts": self.counts}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes the state that `tensors` gave."""
        self.squares = tensors["history/squares"].to(self.squares)
        self.counts = tensors["history/counts"].to(self.counts)
