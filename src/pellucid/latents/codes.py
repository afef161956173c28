"""Codes as symbols: an autoencoder with a code book in the place of a data set's codec.

What a denoiser of symbols sees is a grid of the numbers of codes; its card's codec brings them to items, through the
decoder. As with `codec`, it travels in the card as JSON and its weights in a file of the same checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..autoencoders import Decoded, Quantised
from ..autoencoders.codec import ROWS, AutoencoderCodec
from ..foundations.errors import UserError


@dataclass(frozen=True, eq=False)
class CodesCodec(AutoencoderCodec):
    """Items to the numbers of their codes, int64 (B, *grid), and back to the middle of p(x given codes)."""

    network: Quantised
    kind: ClassVar[str] = "codes"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.network.latent_shape[1:]

    @property
    def num_symbols(self) -> int:
        """How many codes there are."""
        return self.network.num_codes

    def given(self, codes: Tensor) -> Decoded:
        """p(x given codes), in the scale of `items`: codes int64 (B, *grid).

        Raises:
            UserError: a number that the code book does not have.
        """
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.num_symbols:
            raise UserError(f"codes are numbered from 0 to {self.num_symbols - 1}, got {int(codes.max())}")
        return self.network.decode_indices(codes.to(self.device))

    def outward(self, x: Tensor) -> Tensor:
        return self.given(x).mean

    @torch.no_grad()
    def encode(self, items: NDArray[Any]) -> Tensor:
        parts = np.array_split(items, range(ROWS, len(items), ROWS))
        return torch.cat([self.network.encode(self.items.encode(part).to(self.device)).indices for part in parts])

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "autoencoder": self.autoencoder, "weights": self.weights_hash}
