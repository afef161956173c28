"""What codecs have in common that are an autoencoder in the place of a data set's codec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.codecs import Codec, codec_from_json
from ..train import checkpoint

ROWS = 256  # items that go through the autoencoder together


@dataclass(frozen=True, eq=False)
class AutoencoderCodec(ABC):
    """Items to what an autoencoder's encoder makes of them, and back through its decoder.

    Attributes:
        network: the autoencoder, in evaluation mode.
        autoencoder: its card, as JSON values.
    """

    network: nn.Module
    autoencoder: dict[str, Any]

    @cached_property
    def items(self) -> Codec:
        """The codec of the items."""
        return codec_from_json(self.autoencoder["codec"])

    @cached_property
    def weights_hash(self) -> str:
        """sha256 of the autoencoder's weights."""
        return checkpoint.weights_hash(self.tensors())

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> Self:
        """The codec with its weights on a device."""
        return replace(self, network=self.network.to(device))

    @abstractmethod
    def outward(self, x: Tensor) -> Tensor:
        """Codes, (B, *shape), to items in the scale of `items`, (B, *items.shape)."""

    @torch.no_grad()
    def decode(self, x: Tensor) -> NDArray[Any]:
        """Codes, (B, *shape), to items in the data's own units."""
        return np.concatenate([self.items.decode(self.outward(part)) for part in x.split(ROWS)])

    def tensors(self) -> dict[str, Tensor]:
        """The autoencoder's weights by name."""
        return dict(self.network.state_dict())
