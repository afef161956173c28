r"""Autoencoders with a finite code book: a code for each position of a grid.

The code c(x) is a function of x, so with any law P of codes

    log p(x) >= log p(x given c(x)) + log P(c(x)),                                                                 (1)

whose last term, without a learned prior, is -log K for each position.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from .laws import Decoded, Law
from .quantise import Codes, FiniteScalar, VectorQuantiser


class Quantised(nn.Module):
    """Two networks, a quantiser between them, and a law.

    Args:
        encoder: (x, label=...) -> (B, L, *grid).
        quantiser: to codes.
        decoder: (z, label=...) -> the law's numbers, (B, P shape[0], *shape[1:]).
        law: p(x given z).
        latent_shape: of z, (L, *grid).
    """

    def __init__(
        self,
        encoder: nn.Module,
        quantiser: VectorQuantiser | FiniteScalar,
        decoder: nn.Module,
        law: Law,
        latent_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.encoder, self.quantiser, self.decoder, self.law = encoder, quantiser, decoder, law
        self.latent_shape = latent_shape

    @property
    def num_codes(self) -> int:
        """K."""
        return self.quantiser.num_codes

    @property
    def positions(self) -> int:
        """Codes of one item."""
        return math.prod(self.latent_shape[1:])

    def encode(self, x: Tensor, *, label: Tensor | None = None) -> Codes:
        """The codes of items (B, *shape)."""
        codes: Codes = self.quantiser(self.encoder(x, label=label))
        return codes

    def decode(self, z: Tensor, *, label: Tensor | None = None) -> Decoded:
        """p(x given z) for vectors of the code book, (B, L, *grid)."""
        return Decoded.of(self.law, self.decoder(z, label=label))

    def decode_indices(self, indices: Tensor, *, label: Tensor | None = None) -> Decoded:
        """p(x given z) for the codes of indices (B, *grid)."""
        return self.decode(self.quantiser.vectors(indices), label=label)

    def losses(self, x: Tensor, *, label: Tensor | None = None, commitment: float = 0.25) -> Tensor:
        """What training makes small, (B,): -log p(x given z) in nats for each value, and the commitment's share of
        the mean squared distance to the codes (van den Oord et al., 2017, eq. 3; none for scalar levels)."""
        codes = self.encode(x, label=label)
        losses = -self.decode(codes.vectors, label=label).log_prob(x) / x[0].numel()
        if isinstance(self.quantiser, FiniteScalar):
            return losses
        return losses + commitment * codes.commitment()
