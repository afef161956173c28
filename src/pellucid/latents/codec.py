r"""Latents as a change of coordinates: an autoencoder in the place of a data set's codec.

    z = (e - mean)/std,  e from q(e given x) = N(m(x), s(x)^2)                items to what a denoiser sees          (1)
    x = D(std z + mean)                                                       and back: the decoder's middle         (2)

with a mean and a standard deviation for each channel, measured over the training items and over q, so that z has mean
zero and variance one (Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", 2022, appendix G,
have one scale for all channels). Whatever samples, guides or follows a denoiser needs to know nothing of this: the
model's scale is z's, and its card's codec brings it to items.

The codec travels in the card as JSON, and its weights in a file of the same checkpoint: so neither is ever found
without the other, and a model needs nothing of the run that its autoencoder came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..autoencoders import VAE, AutoencoderSpec, Decoded, DiagonalNormal, Quantised, build_autoencoder
from ..autoencoders.codec import ROWS, AutoencoderCodec
from ..data.codecs import Codec, codec_from_json
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..train import checkpoint
from .codes import CodesCodec

WEIGHTS = "autoencoder.safetensors"  # in a checkpoint, beside the denoiser's
_FIELDS = ("autoencoder", "weights", "mean", "std", "error")


@dataclass(frozen=True, eq=False)
class LatentCodec(AutoencoderCodec):
    """Equations (1) and (2).

    Attributes:
        mean, std: of each latent channel.
        error: the root mean square of x - D(E(x)) over training items, in the scale of `items`.
    """

    network: VAE
    mean: tuple[float, ...]
    std: tuple[float, ...]
    error: float
    kind: ClassVar[str] = "latent"

    @cached_property
    def spec(self) -> AutoencoderSpec:
        """How the autoencoder is built."""
        return AutoencoderSpec.from_json(self.autoencoder["network"])

    @property
    def shape(self) -> tuple[int, ...]:
        return self.network.latent_shape

    def standardised(self, e: Tensor) -> Tensor:
        """Latents e of the autoencoder, (B, *shape), to z."""
        return (e - self._channels(self.mean, e)) / self._channels(self.std, e)

    def rescaled(self, std: Tensor) -> Tensor:
        """Standard deviations of e, (B, *shape), to those of z."""
        return std / self._channels(self.std, std)

    def posterior(self, x: Tensor) -> DiagonalNormal:
        """The law of z given items (B, *items.shape) in the scale of `items`, equation (1)."""
        q = self.network.encode(x.to(self._weight))
        return DiagonalNormal(self.standardised(q.mean), q.log_std - self._channels(self.std, q.mean).log())

    def given(self, z: Tensor) -> Decoded:
        """p(x given z), in the scale of `items`."""
        e = z.to(self._weight)
        return self.network.decode(e * self._channels(self.std, e) + self._channels(self.mean, e))

    def outward(self, x: Tensor) -> Tensor:
        """Equation (2), (B, *shape) to (B, *items.shape); differentiable."""
        return self.given(x).mean

    @torch.no_grad()
    def encode(self, items: NDArray[Any]) -> Tensor:
        """Items to the middle of their law, (B, *shape)."""
        parts = np.array_split(items, range(ROWS, len(items), ROWS))
        return torch.cat([self.posterior(self.items.encode(part)).mean for part in parts])

    @torch.no_grad()
    def draw(self, items: NDArray[Any], stream: Stream) -> Tensor:
        """Items to draws of z, (B, *shape), from the stream's numbers at step 0."""
        q = self.posterior(self.items.encode(items))
        return q.latent(stream.normal(self.shape, step=0)[0, 0].to(q.mean))

    def to_json(self) -> dict[str, Any]:
        """The codec without its weights, which their hash names; `read_codec` reads it back."""
        return {
            "kind": self.kind,
            "autoencoder": self.autoencoder,
            "weights": self.weights_hash,
            "mean": list(self.mean),
            "std": list(self.std),
            "error": self.error,
        }

    @property
    def _weight(self) -> Tensor:
        return next(self.network.parameters())

    def _channels(self, values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device).reshape(-1, *(1,) * (like.ndim - 2))


def as_trained(codec: Codec, items: NDArray[Any], stream: Stream) -> Tensor:
    """Items as a denoiser sees them in training: encoded, and where they are latents, drawn."""
    return codec.draw(items, stream) if isinstance(codec, LatentCodec) else codec.encode(items)


def read_codec(fields: Mapping[str, Any], weights: Mapping[str, Tensor] | None) -> Codec:
    """The codec of a card: of items, or of latents or codes with the autoencoder's weights from the same checkpoint.

    Args:
        fields: what `to_json` wrote.
        weights: the content of `WEIGHTS`, or None where there is no such file.

    Raises:
        UserError: fields that do not fit, or weights that are missing or others than the card names.
    """
    kind = fields.get("kind")
    if kind not in (LatentCodec.kind, CodesCodec.kind):
        return codec_from_json(dict(fields))
    expected = _FIELDS if kind == LatentCodec.kind else _FIELDS[:2]
    if any(name not in fields for name in expected):
        raise UserError(
            f"a {kind} codec has the fields {', '.join(expected)}: the file is damaged or of another version"
        )
    if weights is None:
        raise UserError(f"the model's autoencoder is missing: {WEIGHTS} belongs beside its weights; restore a copy")
    found = checkpoint.weights_hash(weights)
    if found != fields["weights"]:
        raise UserError(
            f"the model was trained on latents of the autoencoder {fields['weights'][:12]}, and {WEIGHTS} holds "
            f"{found[:12]}: put back the file that was saved with the model"
        )
    autoencoder = dict(fields["autoencoder"])
    network = build_autoencoder(AutoencoderSpec.from_json(autoencoder["network"]))
    network.load_state_dict(dict(weights))
    network.eval().requires_grad_(False)
    if kind == CodesCodec.kind:
        assert isinstance(network, Quantised)
        return CodesCodec(network, autoencoder)
    assert isinstance(network, VAE)
    return LatentCodec(network, autoencoder, tuple(fields["mean"]), tuple(fields["std"]), float(fields["error"]))
