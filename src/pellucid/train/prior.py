"""Training a prior over the codes of an autoencoder with a code book: all of `tokens`, on codes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..autoencoders import Quantised
from ..autoencoders.model import load_autoencoder
from ..config import Config, Resolved, resolve
from ..data.arrays import Dataset
from ..data.codecs import Codec
from ..foundations.devices import best_device
from ..foundations.errors import UserError
from ..generate import gallery
from ..latents.codes import CodesCodec
from ..model import Card
from ..tokens.generate import sample_tokens
from ..tokens.model import TokenModel
from .prepare import Parts, Prepared, parts
from .run import Run
from .second_stage import SecondStage, part_of_budget
from .tokens import TokenBatches, TokenLooks, Tokens

FIRST = "vq"  # the kind of the first stage
_SHOWN = 64


@dataclass(frozen=True, eq=False)
class Numbered:
    """The codec of a data set whose items are codes already.

    Attributes:
        codes: the codec of the items that they stand for.
    """

    codes: CodesCodec
    kind: ClassVar[str] = CodesCodec.kind

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    @property
    def items(self) -> Codec:
        return self.codes.items

    def encode(self, items: NDArray[Any]) -> Tensor:
        return torch.from_numpy(items.astype(np.int64))

    def decode(self, x: Tensor) -> NDArray[Any]:
        return self.codes.decode(x)

    def outward(self, x: Tensor) -> Tensor:
        return self.codes.outward(x)

    def tensors(self) -> dict[str, Tensor]:
        return self.codes.tensors()

    def to_json(self) -> dict[str, Any]:
        return self.codes.to_json()


@dataclass(frozen=True, eq=False)
class Prior(SecondStage, Tokens):
    """A denoiser of codes."""

    def prepare(self, config: Config) -> Prepared:
        if config.data.flip:
            raise UserError("data.flip mirrors pictures, and codes are found once: leave it out")
        found = parts(config)
        codec, source = self._codec(config, found)
        train, held = (numbered(part, codec) for part in (found.train, found.held))
        facts = found.facts | {"autoencoder": {"weights": codec.weights_hash, "source": source}}
        return self.of_symbols(config, Parts(train, held, found.label_names, facts), codec.num_symbols)

    def card(self, config: Config, network: Any, prepared: Prepared) -> Card:
        kept = prepared.dataset.codec
        assert isinstance(kept, Numbered)
        return replace(super().card(config, network, prepared), codec=kept.codes)

    def look(self, card: Card, prepared: Prepared) -> CodeLooks:
        held = prepared.held
        assert held is None or isinstance(held, TokenBatches)
        return CodeLooks(card, held)

    def first_stage(self, resolved: Resolved) -> Resolved | None:
        config = resolved.config
        if config.autoencoder.source is not None:
            return None
        budget = part_of_budget(config.training.budget, config.autoencoder.share)
        data = config.data.model_dump()
        training = {**config.training.model_dump(include={"seed", "precision", "batch_size"}), "budget": budget}
        settings = {"recipe": FIRST, "kind": FIRST, "data": data, "training": {**training, "weight_decay": 0.01}}
        return resolve([("the prior's first stage", settings)])

    def _codec(self, config: Config, found: Parts) -> tuple[CodesCodec, str | None]:
        """The codec, and where its autoencoder was read from."""
        kept = self.kept_codec()
        if kept is not None:
            return kept
        source = config.autoencoder.source
        if source is None:
            raise UserError("a prior of whose codes? Give --autoencoder, a run of pellucid train vq or fsq")
        model = load_autoencoder(source, device=best_device())
        if not isinstance(model.network, Quantised):
            raise UserError(
                f"{source} is a VAE and has no code book: its latents are numbers, for pellucid train latent; for a "
                "prior of codes train vq or fsq first"
            )
        if model.card.label_names:
            raise UserError(
                f"{source} knows labels, and the code of an item would depend on what it is asked for by: train it "
                "with --set autoencoder.conditional=false"
            )
        own = model.card.codec
        if found.train.shape != own.shape or found.train.codec.kind != own.kind:
            raise UserError(
                f"{source} encodes {own.kind} items of the shape {own.shape}; the data {found.train.name!r} hold "
                f"{found.train.codec.kind} items of the shape {found.train.shape}: train an autoencoder on them"
            )
        return CodesCodec(model.network, model.card.to_json()), os.path.abspath(source)


@dataclass(frozen=True)
class CodeLooks(TokenLooks):
    """Fixed-seed samples, decoded to pictures, and the held-out loss."""

    def show(self, run: Run, model: TokenModel, items: int) -> None:
        """Writes samples/items-*.png and its line of metrics."""
        started = time.perf_counter()
        names = self.card.label_names
        num = 8 * len(names) if 0 < len(names) <= _SHOWN // 4 else _SHOWN
        made = sample_tokens(model, num)
        labels = torch.arange(num) % len(names) if names else None
        path = run.samples / f"items-{items:09d}.png"
        path.parent.mkdir(exist_ok=True)
        gallery(model, made, labels).save(path)
        file = f"samples/{path.name}"
        run.append({"kind": "samples", "items": items, "file": file, "seconds": time.perf_counter() - started})


def numbered(data: Dataset, codec: CodesCodec) -> Dataset:
    """The data set of the items' codes, all else as it was."""
    empty = np.zeros((0, *codec.shape), np.int64)
    step = 4096
    parts = [
        codec.encode(np.asarray(data.items[start : start + step])).cpu().numpy() for start in range(0, len(data), step)
    ]
    items = np.concatenate([empty, *parts]).astype(np.uint16 if codec.num_symbols <= 2**16 else np.int64)
    return replace(data, items=items, codec=Numbered(codec), groups=None)
