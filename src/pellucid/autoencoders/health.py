r"""Whether the latents carry anything: divergence for each latent value, and the use of a code book.

A latent value whose KL(q || p), averaged over items, is near nothing tells the decoder nothing. Where few do, the
posterior has collapsed (Bowman et al., "Generating Sentences from a Continuous Space", 2016, section 3.1). Of a code
book, usage is the share of codes that occur, and the perplexity exp(-sum p log p) how many are used evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError

ACTIVE = 0.01  # nats, averaged over items: below, a latent value is idle
_FEW = 0.1  # of the latent values


@dataclass(frozen=True)
class Latents:
    """What a VAE's latent values carry.

    Attributes:
        kl: mean divergence of each value in nats, largest first.
    """

    kl: tuple[float, ...]

    @property
    def active(self) -> int:
        """How many carry more than `ACTIVE` nats."""
        return sum(value > ACTIVE for value in self.kl)

    @property
    def collapsed(self) -> bool:
        """Whether fewer than a tenth of the values carry anything."""
        return self.active < max(1.0, _FEW * len(self.kl))

    def sentence(self) -> str:
        """What was found, and what to do where it is bad."""
        facts = f"{self.active} of {len(self.kl)} latent values carry information, {sum(self.kl):.3g} nats in all"
        if not self.collapsed:
            return facts
        return (
            f"posterior collapse: {facts}; the decoder hardly looks at z. Lower autoencoder.beta, or set "
            "autoencoder.free_bits=0.1"
        )


def latents(kl: Tensor) -> Latents:
    """The mean divergence of each latent value, from that of items (B, *latent_shape) in nats."""
    if not len(kl):
        raise UserError("there are no items to look at")
    return Latents(tuple(sorted(kl.double().mean(0).flatten().tolist(), reverse=True)))


@dataclass(frozen=True)
class Usage:
    """How a code book is used.

    Attributes:
        num_codes: K.
        used: codes that occurred.
        perplexity: of their frequencies, from 1 to K.
        count: codes that were looked at.
    """

    num_codes: int
    used: int
    perplexity: float
    count: int

    @property
    def share(self) -> float:
        """Used of all."""
        return self.used / self.num_codes

    def sentence(self) -> str:
        """What was found."""
        return (
            f"{self.used} of {self.num_codes} codes occur among {self.count:,}, as unevenly as {self.perplexity:.3g} "
            "equally frequent ones"
        )


def usage(indices: Tensor, num_codes: int) -> Usage:
    """The use of a code book by codes of any shape, int64 in 0 ... num_codes - 1."""
    if not indices.numel():
        raise UserError("there are no codes to count")
    counts = torch.bincount(indices.flatten(), minlength=num_codes).double()
    if len(counts) > num_codes:
        raise UserError(f"a code of {int(indices.max())} in a book of {num_codes}")
    p = counts / counts.sum()
    return Usage(num_codes, int((counts > 0).sum()), torch.special.entr(p).sum().exp().item(), indices.numel())
