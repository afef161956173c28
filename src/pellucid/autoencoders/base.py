r"""What an autoencoder is: x to a code, a code to a law of x; and its description, from which it is built again.

    encode   x -> a `Code`: a normal law of z (VAE), or z itself on its code book (VQ, FSQ)
    decode   z -> p(x given z), a `Decoded`

Both take labels where the networks know them; `None`, or the number of classes, is no label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from ..foundations.errors import UserError, unknown
from ..nn import NetworkSpec
from ..nn.coder import sides
from .laws import Decoded


@runtime_checkable
class Code(Protocol):
    """What an encoder says of an item."""

    def latent(self, noise: Tensor | None = None) -> Tensor:
        """z, (B, *latent_shape): the middle of its law, or a draw made of standard normal noise of that shape."""
        ...


@runtime_checkable
class Autoencoder(Protocol):
    """An encoder and a decoder."""

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of z: (L,), or (L, *grid)."""
        ...

    def encode(self, x: Tensor, *, label: Tensor | None = None) -> Code:
        """The code of items (B, *shape)."""
        ...

    def decode(self, z: Tensor, *, label: Tensor | None = None) -> Decoded:
        """p(x given z), for z (B, *latent_shape)."""
        ...


@dataclass(frozen=True)
class AutoencoderSpec:
    """An autoencoder as plain values.

    Attributes:
        kind: a name in `AUTOENCODERS`: `vae`, `vq` or `fsq`.
        network: the coder's description; its shape is the item's.
        latent: length L of the latent at each position, or of the vector where flat.
        flat: whether the latent is one vector for the item, not a grid.
        law: p(x given z), a name in `LAWS`.
        components: of a mixture of logistics; 1 is one logistic.
        codes: `vq`: entries of the code book.
        levels: `fsq`: the number of levels of each latent channel.

    Raises:
        UserError: numbers out of range, or fields of another kind.
    """

    kind: str
    network: NetworkSpec
    latent: int = 32
    flat: bool = True
    law: str = "logistic"
    components: int = 1
    codes: int = 0
    levels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))
        if self.latent < 1:
            raise UserError(f"latent {self.latent}: give at least 1 value")
        if self.kind == "vq" and self.codes < 2:
            raise UserError(f"a code book of {self.codes}: give at least 2 codes")
        if self.kind == "fsq" and (len(self.levels) != self.latent or min(self.levels) < 2):
            raise UserError(
                f"levels {self.levels} for {self.latent} latent channels: give one number, at least 2, for each channel"
            )

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of z."""
        return (self.latent,) if self.flat else (self.latent, *sides(self.network)[-1])

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values; `from_json` reads them back."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "network": self.network.to_json(), "levels": list(self.levels)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> AutoencoderSpec:
        """The spec that `to_json` wrote; a field that does not exist is an error."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise unknown("autoencoder field", name, known)
        return cls(**{**values, "network": NetworkSpec.from_json(values["network"])})
