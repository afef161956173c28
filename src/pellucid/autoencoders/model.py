"""A trained autoencoder: the networks together with what they need to be used, and their reading from disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.codecs import Codec, codec_from_json
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..model import MODEL, Stored, label_ids, read
from . import AUTOENCODERS, VAE, AutoencoderSpec, Code, Decoded, Quantised, build_autoencoder
from .quantise import Codes


@dataclass(frozen=True)
class AutoencoderCard:
    """What is needed, beside the weights, to build and use an autoencoder; it travels in every checkpoint.

    Attributes:
        network: how it is built.
        codec: how items became tensors.
        label_names: the classes, () for an unconditional one.
        objective: what its loss weighed: beta, free_bits or commitment.
        data: name, counts and hash of what it was trained on.
    """

    network: AutoencoderSpec
    codec: Codec
    label_names: tuple[str, ...]
    objective: Mapping[str, float] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The card as JSON values; `from_json` reads it back."""
        return {
            "kind": self.network.kind,
            "network": self.network.to_json(),
            "codec": self.codec.to_json(),
            "label_names": list(self.label_names),
            "objective": dict(self.objective),
            "data": self.data,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> AutoencoderCard:
        """The card that `to_json` wrote."""
        return cls(
            network=AutoencoderSpec.from_json(values["network"]),
            codec=codec_from_json(values["codec"]),
            label_names=tuple(values["label_names"]),
            objective=values["objective"],
            data=values["data"],
        )


@dataclass(frozen=True)
class AutoencoderModel:
    """An autoencoder with its card.

    Attributes:
        network: the networks, on their device, in evaluation mode.
        card: what they are.
        weights_hash: sha256 of the weights.
        origin: where they were read from.
        notes: what a person should know of the reading.
    """

    network: VAE | Quantised
    card: AutoencoderCard
    weights_hash: str = ""
    origin: str = ""
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        return self.card.network.network.shape

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one latent."""
        return self.network.latent_shape

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return next(self.network.parameters()).device

    def encode(self, x: Tensor, *, label: Tensor | None = None) -> Code:
        """The codes of items (B, *shape) in the model's scale.

        Raises:
            UserError: items of another shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise UserError(f"the autoencoder's items have the shape {self.shape}, got {tuple(x.shape[1:])}")
        with torch.no_grad():
            return self.network.encode(x.to(self.device), label=label)

    def decode(self, z: Tensor, *, label: Tensor | None = None) -> Decoded:
        """p(x given z) for latents (B, *latent_shape).

        Raises:
            UserError: latents of another shape.
        """
        if tuple(z.shape[1:]) != self.latent_shape:
            raise UserError(f"the autoencoder's latents have the shape {self.latent_shape}, got {tuple(z.shape[1:])}")
        with torch.no_grad():
            return self.network.decode(z.to(self.device), label=label)

    def codes(self, x: Tensor, *, label: Tensor | None = None) -> Tensor:
        """The numbers of the items' codes in the code book: (B, *shape) -> int64 (B, *grid), 0 ... num_codes - 1.

        Raises:
            UserError: a VAE, which has no code book, or items of another shape.
        """
        self._quantised()
        code = self.encode(x, label=label)
        assert isinstance(code, Codes)
        return code.indices

    def from_codes(self, codes: Tensor, *, label: Tensor | None = None) -> Tensor:
        """The middle of p(x given codes): int64 (B, *grid) -> (B, *shape).

        Raises:
            UserError: a VAE, codes on another grid, or numbers that the code book does not have.
        """
        network = self._quantised()
        grid = self.latent_shape[1:]
        if tuple(codes.shape[1:]) != grid:
            raise UserError(f"the codes of an item lie on a grid {grid}, got {tuple(codes.shape[1:])}")
        with torch.no_grad():
            return network.decode_indices(codes.to(self.device), label=label).mean

    def _quantised(self) -> Quantised:
        if not isinstance(self.network, Quantised):
            raise UserError(f"{self.origin or 'this autoencoder'} is a VAE and has no code book: train vq or fsq")
        return self.network

    def reconstruct(self, x: Tensor, *, label: Tensor | None = None) -> Tensor:
        """The middle of p(x given the middle of x's code), (B, *shape)."""
        return self.decode(self.encode(x, label=label).latent(), label=label).mean

    def interpolate(self, a: Tensor, b: Tensor, num: int, *, label: Tensor | None = None) -> Tensor:
        """Decoded latents on the straight way from a's to b's, both included: (B, *shape) twice -> (num, B, *shape).

        Between the codes of a code book there are none: each point takes the nearest.

        Raises:
            UserError: fewer than 2 points.
        """
        if num < 2:
            raise UserError(f"a way has at least its 2 ends, got num={num}")
        first, last = (self.encode(x, label=label).latent() for x in (a, b))
        snap = self.network.quantiser.snap if isinstance(self.network, Quantised) else lambda z: z
        points = [snap(torch.lerp(first, last, i / (num - 1))) for i in range(num)]
        return torch.stack([self.decode(z, label=label).mean for z in points])

    def sample(
        self,
        num: int,
        *,
        label: Sequence[str | int] | str | int | None = None,
        seed: int = 0,
        first: int = 0,
        draw: bool = False,
        batch_size: int = 256,
    ) -> Tensor:
        """Samples: z from N(0, I), decoded, (num, *shape). Sample i depends on the weights, the seed and i alone.

        Args:
            num: how many.
            label: a class, or several in turn; all classes in turn if absent; "none" for no class.
            seed: any integer.
            first: the number of the first sample.
            draw: draw x from p(x given z) too, as the model's law has it; its middle if not.
            batch_size: decoded together.

        Raises:
            UserError: a code book, which has no law of its codes, or numbers out of range.
        """
        if isinstance(self.network, Quantised):
            name = self.origin or "RUN"
            raise UserError(
                f"{name} has a code book and no law of its codes, so it cannot be sampled; train one: "
                f"pellucid train prior --autoencoder {name}"
            )
        if num < 1 or first < 0:
            raise UserError(f"ask for at least 1 sample, numbered from 0: got num={num}, first={first}")
        parts = []
        for start in range(first, first + num, batch_size):
            ids = range(start, min(start + batch_size, first + num))
            stream = Stream.of(seed, ids, device=self.device)
            z = stream.normal(self.latent_shape, step=0)[0, 0]
            decoded = self.decode(z, label=self.labels_for(ids, label))
            parts.append(decoded.sample(stream, step=1) if draw else decoded.mean)
        return torch.cat(parts)

    def labels_for(self, ids: range, label: Sequence[str | int] | str | int | None) -> Tensor | None:
        """The class of each sample number, (len(ids),): the given ones in turn, or all; None without classes."""
        names = self.card.label_names
        if not names and label is None:
            return None
        given = list(range(len(names))) if label is None else label_ids(names, label)
        return torch.tensor([given[i % len(given)] for i in ids], device=self.device)

    def to_items(self, x: Tensor) -> Any:
        """Tensors in the data's own units, as numpy: uint8 pictures, points, signals."""
        return self.card.codec.decode(x)


def load_autoencoder(path: str | Path, *, device: str | torch.device | None = None) -> AutoencoderModel:
    """Reads an autoencoder, as `model.load` reads a diffusion model: arguments are the same, and so are errors.

    Raises:
        UserError: also for a model of another kind.
    """
    return autoencoder_from_stored(read(path), device=device)


def autoencoder_from_stored(found: Stored, *, device: str | torch.device | None = None) -> AutoencoderModel:
    """The autoencoder that `read` found; arguments and errors are those of `load_autoencoder`."""
    if found.kind not in AUTOENCODERS:
        raise UserError(f"{found.origin} is a {found.kind} model, not an autoencoder: see pellucid info {found.origin}")
    card = AutoencoderCard.from_json(found.saved.documents[MODEL])
    network, weights = found.loaded(build_autoencoder(card.network), device)
    return AutoencoderModel(network, card, weights, found.origin, found.notes)
