"""Training a denoiser in the latent space of an autoencoder: all of `diffusion`, on other coordinates."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from ..autoencoders.model import load_autoencoder
from ..config import Config, Resolved, resolve
from ..foundations.devices import best_device
from ..foundations.errors import UserError
from ..latents.codec import LatentCodec
from ..model import Card
from . import checkpoint
from .batches import Batches
from .diffusion import Diffusion
from .encoded import Kept, LatentBatches, encoded, latent_codec
from .prepare import Parts, Prepared, parts
from .second_stage import SecondStage, part_of_budget

FIRST = "vae"  # the kind of the first stage


@dataclass(frozen=True, eq=False)
class LatentDiffusion(SecondStage, Diffusion):
    """A denoiser on latents."""

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

    def files(self, card: Card) -> checkpoint.Files:
        return card.files()

    def first_stage(self, resolved: Resolved) -> Resolved | None:
        config = resolved.config
        if config.autoencoder.source is not None:
            return None
        budget = part_of_budget(config.training.budget, config.autoencoder.share)
        settings = config.model_dump(include={"data", "training", "autoencoder"})
        settings["training"] |= {"budget": budget, "uncertainty": False}
        settings["autoencoder"]["conditional"] = False
        return resolve([("latent diffusion's first stage", {"recipe": "kl", "kind": FIRST, **settings})])

    def _codec(self, config: Config, found: Parts) -> tuple[LatentCodec, str | None]:
        """The codec, and where its autoencoder was read from."""
        kept = self.kept_codec()
        if kept is not None:
            return kept
        source = config.autoencoder.source
        if source is None:
            raise UserError("which autoencoder? Give --autoencoder, a run of pellucid train kl")
        return latent_codec(load_autoencoder(source, device=best_device()), found.train), os.path.abspath(source)


def _unit(config: Config) -> Config:
    """Latents have unit variance by their making, counting their draws."""
    if config.process.sigma_data is not None:
        return config
    return config.model_copy(update={"process": config.process.model_copy(update={"sigma_data": 1.0})})
