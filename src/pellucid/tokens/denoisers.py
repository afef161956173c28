r"""Networks on symbols, seen as denoisers: logits of p(x_0 given x_t) that keep the rules of their process.

Where the process masks, two things are known without learning (the substitution rule; Sahoo et al., "Simple and
Effective Masked Diffusion Language Models", 2024): a symbol that is not masked is x_0 itself, and x_0 is
never the mask. A network then has nothing to learn of time either: which places are masked tells all that time would
(Zheng et al., "Masked Diffusion Models are Secretly Time-Agnostic Masked Models", 2024).

Of any other noise the same is known in part. Noise changes each place by itself, so by Bayes' rule

    p(x_0^i | x_t) ~ q(x_t^i | x_0^i) p(x_0^i | x_t but for place i),                                              (1)

and the first factor need not be learned: the network's logits stand for the second. (With a mask, (1) is the
substitution rule.) Without it a network has to say with logits that grow without end that a symbol, late in sampling,
is most likely the one that it sees.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..processes.categorical import Categorical
from ..processes.symbols import Symbols


class TokenDenoiser(nn.Module):
    """A network's logits as a denoiser of a process on symbols.

    Attributes:
        network: called as network(x, c, **cond), x int64 (B, *), c of shape (B,) or None; returns (B, *, K).
        process: the process on K symbols that it undoes.
        timed: whether the network is told of the time; by default where the process has no mask.
    """

    def __init__(self, network: nn.Module, process: Symbols, *, timed: bool | None = None) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.timed = process.mask is None if timed is None else timed

    def noise_level(self, t: Tensor) -> Tensor:
        """What the network is told of the time: the share of symbols that are lost; t itself on a discrete chain."""
        return self.process.survival.lost(t) if isinstance(self.process, Categorical) else t

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """Logits of p(x_0 given x_t), (B, *, K): x int64 (B, *), t of shape () or (B,)."""
        weights = next(self.network.parameters(), None)
        dtype = torch.float32 if weights is None else weights.dtype
        level = self.noise_level(t).to(x.device, dtype).expand(len(x)) if self.timed else None
        # Never less than float32: the logits of half precision would flatten the law and round its tail to nothing.
        logits = self.network(x, level, **cond).to(torch.promote_types(dtype, torch.float32))
        if self.process.mask is None:
            return logits + self.process.reached(x, t.to(x.device)).log().to(logits.dtype)
        return substituted(logits, x, self.process.mask)

    def rows(self, index: Tensor, num: int) -> TokenDenoiser:
        """The denoiser of some items of a batch: itself, as it knows of no batch."""
        return self


def substituted(logits: Tensor, x: Tensor, mask: int | None, allowed: Tensor | None = None) -> Tensor:
    """The logits, (B, *, K), under the substitution rule for x, (B, *); where there is no mask, of what is allowed.

    Args:
        allowed: the symbols that data can have, bool, broadcasting to (B, *, K); all but the mask if None.
    """
    if mask is None:
        return logits if allowed is None else logits.masked_fill(~allowed, -math.inf)
    symbols = torch.arange(logits.shape[-1], device=logits.device)
    masked = (x == mask)[..., None]
    # A place that is known has the logit 0 from elsewhere: no gradient reaches the network's own.
    known = torch.where((symbols == x[..., None]) & ~masked, 0.0, -math.inf).to(logits.dtype)
    return torch.where(masked & (symbols != mask if allowed is None else allowed), logits, known)
