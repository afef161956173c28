"""Codes as symbols: an autoencoder with a code book in the place of a data set's codec.

What a denoiser of symbols sees is a grid of the numbers of codes; its card's codec brings them to items, through the
decoder. As with `latent`, the codec travels in the card as JSON and its weights in a file of the same checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .autoencoders import Decoded, Quantised
from .data.codecs import Codec, codec_from_json
from .foundations.errors import UserError
from .train import checkpoint

_ROWS = 256  # items that go through the autoencoder together


@dataclass(frozen=True, eq=False)
class CodesCodec:
    """Items to the numbers of their codes, int64 (B, *grid), and back to the middle of p(x given codes).

    Attributes:
        network: the autoencoder, in evaluation mode.
        autoencoder: its card, as JSON values.
    """

    network: Quantised
    autoencoder: dict[str, Any]
    kind: ClassVar[str] = "codes"

    @cached_property
    def items(self) -> Codec:
        """The codec of the items."""
        return codec_from_json(self.autoencoder["codec"])

    @cached_property
    def weights_hash(self) -> str:
        """sha256 of the autoencoder's weights."""
        return checkpoint.weights_hash(self.tensors())

    @property
    def shape(self) -> tuple[int, ...]:
        return self.network.latent_shape[1:]

    @property
    def num_symbols(self) -> int:
        """How many codes there are."""
        return self.network.num_codes

    def to(self, device: torch.device | str) -> CodesCodec:
        """The codec with its weights on a device."""
        return replace(self, network=self.network.to(device))

    def given(self, codes: Tensor) -> Decoded:
        """p(x given codes), in the scale of `items`: codes int64 (B, *grid).

        Raises:
            UserError: a number that the code book does not have.
        """
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.num_symbols:
            raise UserError(f"codes are numbered from 0 to {self.num_symbols - 1}, got {int(codes.max())}")
        return self.network.decode_indices(codes.to(next(self.network.parameters()).device))

    def outward(self, x: Tensor) -> Tensor:
        return self.given(x).mean

    @torch.no_grad()
    def encode(self, items: NDArray[Any]) -> Tensor:
        device = next(self.network.parameters()).device
        parts = np.array_split(items, range(_ROWS, len(items), _ROWS))
        return torch.cat([self.network.encode(self.items.encode(part).to(device)).indices for part in parts])

    @torch.no_grad()
    def decode(self, x: Tensor) -> NDArray[Any]:
        return np.concatenate([self.items.decode(self.outward(part)) for part in x.split(_ROWS)])

    def tensors(self) -> dict[str, Tensor]:
        return dict(self.network.state_dict())

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "autoencoder": self.autoencoder, "weights": self.weights_hash}
