"""Training a denoiser in the latent space of an autoencoder: all of `diffusion`, on other coordinates."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..autoencoder_model import load_autoencoder
from ..config import Config, Resolved, resolve
from ..foundations.errors import UserError
from ..latent import WEIGHTS, LatentCodec, read_codec
from ..model import MODEL, Card
from . import checkpoint
from .batches import Batches
from .budget import Budget, parse_budget
from .diffusion import Diffusion
from .encoded import Kept, LatentBatches, encoded, latent_codec
from .engine import best_device
from .prepare import Parts, Prepared, parts
from .run import Run

FIRST = "vae"  # the kind of the first stage


@dataclass(frozen=True)
class LatentDiffusion(Diffusion):
    """A denoiser on latents.

    Attributes:
        saved: the checkpoint that a run goes on from; its autoencoder is the one in use, whatever became of the run
            that it was first read from.
    """

    saved: checkpoint.Checkpoint | None = None
    second: ClassVar[bool] = True

    def prepare(self, config: Config) -> Prepared:
        if config.data.flip:
            raise UserError("data.flip mirrors pictures, and latents are encoded once: leave it out")
        found = parts(config)
        codec, source = self._codec(config, found)
        (train, train_spread), (held, held_spread) = (encoded(part, codec) for part in (found.train, found.held))
        facts = found.facts | {"autoencoder": {"weights": codec.weights_hash, "source": source}}
        ready = self.ready(_unit(config), Parts(train, held, found.label_names, facts))

        def drawn(batches: Any, spread: Any) -> LatentBatches:
            assert isinstance(batches, Batches)
            return LatentBatches(**vars(batches), spread=spread)

        return replace(
            ready,
            batches=drawn(ready.batches, train_spread),
            held=None if ready.held is None else drawn(ready.held, held_spread),
        )

    def card(self, config: Config, network: Any, prepared: Prepared) -> Card:
        kept = prepared.dataset.codec
        assert isinstance(kept, Kept)
        return replace(super().card(config, network, prepared), codec=kept.latent)

    def read_card(self, values: dict[str, Any]) -> Card:
        assert self.saved is not None
        return Card.from_json(values, self.saved.tensors.get(WEIGHTS))

    def files(self, card: Card) -> checkpoint.Files:
        return card.files()

    def resumed(self, saved: checkpoint.Checkpoint) -> LatentDiffusion:
        return replace(self, saved=saved)

    def first_stage(self, resolved: Resolved) -> Resolved | None:
        config = resolved.config
        if config.autoencoder.source is not None:
            return None
        budget = part_of_budget(config.training.budget, config.autoencoder.share)
        settings = config.model_dump(include={"data", "training", "autoencoder"})
        settings["training"] |= {"budget": budget, "uncertainty": False}
        settings["autoencoder"]["conditional"] = False
        return resolve([("latent diffusion's first stage", {"recipe": "kl", "kind": FIRST, **settings})])

    def second_stage(self, resolved: Resolved, first: Run) -> Resolved:
        left = part_of_budget(resolved.config.training.budget, 1 - resolved.config.autoencoder.share)
        return resolved.with_values(
            "first stage", {"autoencoder.source": os.path.abspath(first.path), "training.budget": left}
        )

    def _codec(self, config: Config, found: Parts) -> tuple[LatentCodec, str | None]:
        """The codec, and where its autoencoder was read from."""
        device = best_device()
        if self.saved is not None:
            values = self.saved.documents[MODEL]
            codec = read_codec(values["codec"], self.saved.tensors.get(WEIGHTS))
            assert isinstance(codec, LatentCodec)
            return codec.to(device), values["data"]["autoencoder"]["source"]
        source = config.autoencoder.source
        if source is None:
            raise UserError("which autoencoder? Give --autoencoder, a run of pellucid train kl")
        return latent_codec(load_autoencoder(source, device=device), found.train), os.path.abspath(source)


def _unit(config: Config) -> Config:
    """Latents have unit variance by their making, counting their draws."""
    if config.process.sigma_data is not None:
        return config
    return config.model_copy(update={"process": config.process.model_copy(update={"sigma_data": 1.0})})


def part_of_budget(budget: str, share: float) -> str:
    """A share of a budget, as text."""
    whole = parse_budget(budget)
    return str(
        Budget(
            seconds=None if whole.seconds is None else share * whole.seconds,
            items=None if whole.items is None else max(1, round(share * whole.items)),
            epochs=None if whole.epochs is None else share * whole.epochs,
        )
    )
