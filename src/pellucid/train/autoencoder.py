"""Training an autoencoder: its loss, its batches, its description and what is shown along the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..autoencoders import (
    AUTOENCODERS,
    LAWS,
    VAE,
    AutoencoderSpec,
    DiagonalNormal,
    Quantised,
    build_autoencoder,
    latents,
    make_law,
    usage,
)
from ..autoencoders.made import sheet
from ..autoencoders.model import AutoencoderCard, AutoencoderModel
from ..autoencoders.quantise import Codes
from ..config import AutoencoderSettings, Config
from ..data.arrays import Dataset
from ..data.codecs import ImageCodec
from ..foundations.devices import best_device
from ..foundations.errors import UserError
from ..foundations.rng import subseed
from ..nn.coder import CODERS, choose_coder, coder_flops, coder_within
from .batches import items_at
from .engine import PRECISIONS, Engine
from .kind import Kind
from .prepare import Prepared, parts
from .run import Run
from .trainee import Trainee

_HELD_OUT = 512
_SHOWN = 64
_LATENT = {"vae": 32, "vq": 8}


class Learner(nn.Module):
    """An autoencoder with the weights of its loss.

    Attributes:
        network: the autoencoder.
        options: what its `losses` takes.
    """

    def __init__(self, network: VAE | Quantised, options: dict[str, float]) -> None:
        super().__init__()
        self.network, self.options = network, options

    def losses(self, batch: EncodedBatch) -> Tensor:
        """(B,)."""
        network: Any = self.network
        if isinstance(network, VAE):
            return network.losses(batch.x0, batch.noise, label=batch.label, **self.options)
        found: Tensor = network.losses(batch.x0, label=batch.label, **self.options)
        return found


@dataclass(frozen=True)
class EncodedBatch:
    """Items (B, *shape), standard normal noise (B, *latent_shape) and classes (B,) or None."""

    x0: Tensor
    noise: Tensor
    label: Tensor | None


@dataclass(frozen=True)
class EncodedBatches:
    """Batches as a pure function of (seed, position); the attributes are those of `Batches`."""

    data: Dataset
    latent_shape: tuple[int, ...]
    seed: int
    label_dropout: float = 0.0
    null_label: int = 0
    flip: bool = False
    device: torch.device | str = "cpu"
    adaptive: bool = False

    def at(self, start: int, count: int) -> EncodedBatch:
        """The batch of positions start ... start + count - 1."""
        x0, cond, stream = items_at(
            self.data,
            self.seed,
            np.arange(start, start + count, dtype=np.int64),
            label_dropout=self.label_dropout,
            null_label=self.null_label,
            flip=self.flip,
            device=self.device,
        )
        return EncodedBatch(x0, stream.normal(self.latent_shape, step=0)[0, 0], cond.get("label"))


@dataclass(frozen=True)
class AutoencoderKind(Kind):
    """A VAE, or an autoencoder with a code book; `name` is its kind among `AUTOENCODERS`."""

    name: str

    def prepare(self, config: Config) -> Prepared:
        PRECISIONS[config.training.precision]
        if config.training.uncertainty:
            raise UserError("training.uncertainty weighs the losses of noise levels, and an autoencoder has none")
        if config.autoencoder.law is not None:
            LAWS[config.autoencoder.law]
        if config.network.kind is not None:
            CODERS[config.network.kind]
        found = parts(config)
        conditional = config.autoencoder.conditional
        if not (_flat(self.name, config, found.train) if conditional is None else conditional):
            found = found.without_labels()
        num_classes = len(found.label_names)
        spec = describe(self.name, config, found.train, num_classes)
        settings, device = config.training, best_device()

        def batches(data: Dataset, seed: int, dropout: float, flip: bool) -> EncodedBatches:
            return EncodedBatches(data, spec.latent_shape, seed, dropout, num_classes, flip, device)

        return Prepared(
            batches=batches(found.train, settings.seed, settings.label_dropout, config.data.flip),
            held=batches(found.held, subseed(settings.seed, "held-out"), 0.0, False) if len(found.held) else None,
            label_names=found.label_names,
            dataset=found.train,
            data_facts=found.facts,
            config=config,
        )

    def undivided(self, config: Config) -> str | None:
        return "its code book follows the encoder's outputs of whole batches" if self.name == "vq" else None

    def check(self, prepared: Prepared, *, force: bool) -> None:
        """An autoencoder begins nowhere in particular: there is nothing to refuse."""

    def rule(self, config: Config, prepared: Prepared) -> dict[str, Any]:
        data, classes = prepared.dataset, prepared.num_classes
        if len(data.shape) == 1:  # what points cost is not in the products, which the rule counts
            plain = describe(self.name, config, data, classes)
            return {"choose": lambda budget_flops: plain, "flops": flops}
        size = math.prod(data.shape)

        def choose(budget_flops: Callable[[float], float]) -> AutoencoderSpec:
            return coder_within(
                lambda width: describe(self.name, config, data, classes, width=width), flops, budget_flops, size
            )

        return {"choose": choose, "flops": flops}

    def trainee(self, config: Config, network: AutoencoderSpec, engine: Engine) -> Trainee[Any]:
        torch.manual_seed(subseed(config.training.seed, "weights") % (1 << 63))
        learner = Learner(build_autoencoder(network), _options(self.name, config.autoencoder))
        return Trainee(learner, config.training, engine, Learner.losses)

    def settings(self, network: AutoencoderSpec) -> dict[str, Any]:
        values = network.to_json()
        coder = {f"network.{key}": value for key, value in values.pop("network").items()}
        code = {f"autoencoder.{key}": values[key] for key in ("latent", "flat", "law")}
        return coder | code | {"autoencoder.conditional": network.network.num_classes > 0}

    def card(self, config: Config, network: AutoencoderSpec, prepared: Prepared) -> AutoencoderCard:
        options = _options(self.name, config.autoencoder)
        return AutoencoderCard(network, prepared.dataset.codec, prepared.label_names, options, prepared.data_facts)

    def read_card(self, values: dict[str, Any]) -> AutoencoderCard:
        return AutoencoderCard.from_json(values)

    def look(self, card: AutoencoderCard, prepared: Prepared) -> Looks:
        held = prepared.held
        assert held is None or isinstance(held, EncodedBatches)
        return Looks(card, held)

    def describe(self, network: AutoencoderSpec) -> str:
        with torch.device("meta"):
            count = sum(p.numel() for p in build_autoencoder(network).parameters())
        latent = "x".join(map(str, network.latent_shape))
        coder = network.network
        return (
            f"{network.kind} with a {latent} latent, {coder.kind} of width {coder.width}, {count / 1e6:.2f}M parameters"
        )


@dataclass(frozen=True)
class Looks:
    """Fixed-seed samples, or where there is no law of codes reconstructions; the held-out loss, and what codes carry.

    Attributes:
        card: of the model.
        held: held-out batches, or None.
    """

    card: AutoencoderCard
    held: EncodedBatches | None

    def make(self, run: Run, trainee: Trainee[Learner], *, items: int) -> None:
        """Writes samples/items-*.png and lines of metrics."""
        started = time.perf_counter()
        model = AutoencoderModel(trainee.average.network, self.card)
        labels: Tensor | None = None
        if isinstance(model.network, VAE):
            shown, what = model.sample(_SHOWN), "samples"
            labels = model.labels_for(range(_SHOWN), None)
        elif self.held is not None:
            batch = self.held.at(0, min(_SHOWN, len(self.held.data)))
            shown, what, labels = model.reconstruct(batch.x0, label=batch.label), "reconstructions", batch.label
        else:
            shown, what = None, ""
        if shown is not None:
            path = run.samples / f"items-{items:09d}.png"
            path.parent.mkdir(exist_ok=True)
            sheet(self.card, shown, labels).save(path)
            seconds = time.perf_counter() - started
            file = f"samples/{path.name}"
            run.append({"kind": "samples", "items": items, "what": what, "file": file, "seconds": seconds})
        if self.held is not None:
            started = time.perf_counter()
            facts = self._held_out(trainee, self.held)
            run.append({"kind": "held_out", "items": items, **facts, "seconds": time.perf_counter() - started})

    @torch.no_grad()
    def _held_out(self, trainee: Trainee[Learner], held: EncodedBatches) -> dict[str, float]:
        """The averaged weights' loss on the same items and noise at every look, and what the codes carry."""
        batch = held.at(0, min(_HELD_OUT, len(held.data)))
        with trainee.engine.autocast():
            loss = trainee.average.losses(batch).mean().item()
            code = trainee.average.network.encode(batch.x0, label=batch.label)
        if isinstance(code, DiagonalNormal):
            found = latents(code.kl())
            return {"loss": loss, "kl": sum(found.kl), "active": found.active}
        assert isinstance(code, Codes)
        assert isinstance(trainee.average.network, Quantised)
        used = usage(code.indices, trainee.average.network.num_codes)
        return {"loss": loss, "usage": used.share, "perplexity": used.perplexity}


@cache
def flops(spec: AutoencoderSpec) -> int:
    """Operations of one item's training."""
    law = make_law(spec.law, spec.components)
    network = replace(spec.network, output_multiplier=law.parameters)
    out = 2 * spec.latent if spec.kind == "vae" else spec.latent
    return coder_flops(network, spec.latent, out, flat=spec.flat)


def describe(kind: str, config: Config, data: Dataset, num_classes: int, *, width: int = 32) -> AutoencoderSpec:
    """The autoencoder that settings ask for, with what is absent by the rule for its kind and the data.

    A VAE has a flat code, which knows the label where there is one: a vector of 32 values for an item, or of as many as
    the item has where that is fewer. A code book has a code at each position of a grid, and for points one code. 8-bit
    pictures have the logistic law, others the normal.

    Raises:
        UserError: settings that do not go together.
    """
    AUTOENCODERS[kind]
    given, shape = config.autoencoder, data.shape
    flat = _flat(kind, config, data)
    levels = given.levels if kind == "fsq" else ()
    latent = given.latent or (len(levels) if kind == "fsq" else min(_LATENT[kind], int(np.prod(shape))))
    fields = {key: value for key, value in config.network.model_dump().items() if value is not None}
    network = replace(choose_coder(shape, flat=flat, width=width, num_classes=num_classes), **fields)
    law = given.law or ("logistic" if isinstance(data.codec, ImageCodec) else "normal")
    components = given.components
    return AutoencoderSpec(kind, network, latent, flat, law, components, given.codes if kind == "vq" else 0, levels)


def _flat(kind: str, config: Config, data: Dataset) -> bool:
    asked = config.autoencoder.flat
    return kind == "vae" or len(data.shape) == 1 if asked is None else asked


def _options(kind: str, settings: AutoencoderSettings) -> dict[str, float]:
    if kind == "vae":
        return {"beta": settings.beta, "free_bits": settings.free_bits}
    return {"commitment": settings.commitment} if kind == "vq" else {}
