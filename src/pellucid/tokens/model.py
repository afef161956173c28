"""A trained model of symbols: a denoiser of tokens with its card, and its reading from disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import ProcessSettings
from ..data.tokens import TokenCodec
from ..foundations.errors import UserError
from ..latents.codec import WEIGHTS
from ..model import MODEL, SYMBOLS, Card, Stored, option_checked, read
from ..nn import NetworkSpec, build
from ..processes.named import SYMBOL_PROCESSES, masks
from ..processes.survival import SURVIVALS
from ..processes.symbols import Symbols
from .denoisers import TokenDenoiser


def num_symbols(codec_symbols: int, settings: ProcessSettings) -> int:
    """How many symbols a process has on data of so many: where it masks, one more."""
    return codec_symbols + masks(settings.kind)


def make_symbols(settings: ProcessSettings, symbols: int) -> Symbols:
    """The process on symbols that settings name.

    Raises:
        UserError: an unknown process, survival or option.
    """
    make = SYMBOL_PROCESSES[settings.kind]
    survival = option_checked("survival", settings.schedule, SURVIVALS[settings.schedule], settings.schedule_options)
    return option_checked("process", settings.kind, partial(make, symbols, survival), settings.options)


def make_token_denoiser(network: nn.Module, spec: NetworkSpec, settings: ProcessSettings) -> TokenDenoiser:
    """The denoiser of symbols that settings describe around a network."""
    return TokenDenoiser(network, make_symbols(settings, spec.symbols))


@dataclass(frozen=True)
class TokenModel:
    """A denoiser of symbols with its card.

    Attributes:
        denoiser: logits of p(x_0 given x_t), on its device, in evaluation mode.
        card: what it is and how it is used.
        weights_hash: sha256 of the weights, which names the model in everything it makes.
        origin: where it was read from.
        notes: what a person should know of its reading.
    """

    denoiser: TokenDenoiser
    card: Card
    weights_hash: str
    origin: str = ""
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        return self.card.network.shape

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return next(self.denoiser.parameters()).device

    @property
    def is_text(self) -> bool:
        """Whether its items are texts; if not, they are codes of an autoencoder."""
        return isinstance(self.card.codec, TokenCodec)

    @property
    def codec(self) -> TokenCodec:
        """The codec of its texts.

        Raises:
            UserError: a model of codes, whose items are no texts.
        """
        if not isinstance(self.card.codec, TokenCodec):
            raise UserError(f"{self.origin or 'the model'} makes {self.card.codec.items.kind} items, and no texts")
        return self.card.codec

    def decode(self, x: Tensor) -> Any:
        """Samples (B, *shape) in the data's own units, as numpy: rows of symbols, or pictures from codes."""
        return self.card.codec.decode(x)

    def texts(self, x: Tensor) -> list[str]:
        """Samples (B, L) as texts."""
        return self.codec.texts(self.decode(x))


def load_tokens(path: str | Path, *, device: str | torch.device | None = None) -> TokenModel:
    """Reads a model of symbols, as `model.load` reads a diffusion model: arguments are the same, and so are errors.

    Raises:
        UserError: also for a model of another kind.
    """
    return tokens_from_stored(read(path), device=device)


def tokens_from_stored(found: Stored, *, device: str | torch.device | None = None) -> TokenModel:
    """The model of symbols that `model.read` found; arguments and errors are those of `load_tokens`."""
    if found.kind != SYMBOLS:
        raise UserError(f"{found.origin} is no model of symbols: `pellucid info {found.origin}` says what it is")
    card = Card.from_json(found.saved.documents[MODEL], found.saved.tensors.get(WEIGHTS))
    network, weights = found.loaded(build(card.network), device)
    denoiser = make_token_denoiser(network, card.network, card.process).eval()
    return TokenModel(denoiser, card, weights, found.origin, found.notes)
