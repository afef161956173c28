"""Training a denoiser: its process, its batches, its network and what travels with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..asked import text_part
from ..config import Config
from ..data.arrays import Dataset
from ..data.codecs import SeriesCodec
from ..denoisers import TARGETS
from ..foundations.devices import best_device
from ..foundations.errors import UserError
from ..foundations.rng import subseed
from ..guidance import PAIRS
from ..losses import DENSITIES
from ..model import Card, make_denoiser, make_process, option_checked
from ..nn import NETWORKS, NetworkSpec, build
from ..processes.checks import check_prior
from ..processes.times import GRIDS
from ..solvers import SOLVERS
from .batches import Batches
from .engine import PRECISIONS, Engine
from .kind import Kind, Look
from .pictures import Pictures
from .prepare import Parts, Prepared, parts
from .trainee import Trainee


class Diffusion(Kind):
    """A denoiser on items."""

    def prepare(self, config: Config) -> Prepared:
        _names_checked(config)
        return self.ready(config, parts(config))

    def ready(self, config: Config, found: Parts) -> Prepared:
        """The parts of a data set, ready for training.

        Raises:
            UserError: a loss or a network that cannot leave out what is not there, for series with ends of their own.
        """
        if isinstance(found.train.codec, SeriesCodec):
            for name, given in (
                ("process.learned_variance", config.process.learned_variance),
                ("network.energy", config.network.energy),
            ):
                if given:
                    raise UserError(
                        f"{name} is not for series of lengths of their own, or with missing values: leave it out"
                    )
        if config.process.sigma_data is None:
            sigma = _spread(found.train)
            config = config.model_copy(update={"process": config.process.model_copy(update={"sigma_data": sigma})})
        process = make_process(config.process)
        density = option_checked(
            "time density", config.process.density, DENSITIES[config.process.density], config.process.density_options
        )
        settings, names = config.training, found.label_names
        device = best_device()

        def batches(data: Dataset, seed: int, dropout: float, flip: bool) -> Batches:
            return Batches(data, process, density, seed, dropout, len(names), flip, device)

        return Prepared(
            batches=batches(found.train, settings.seed, settings.label_dropout, config.data.flip),
            held=batches(found.held, subseed(settings.seed, "held-out"), 0.0, False) if len(found.held) else None,
            label_names=names,
            dataset=found.train,
            data_facts=found.facts,
            config=config,
        )

    def check(self, prepared: Prepared, *, force: bool) -> None:
        check_prior(prepared.batches.process, _spread(prepared.dataset) ** 2, force=force)

    def trainee(self, config: Config, network: NetworkSpec, engine: Engine) -> Trainee[Any]:
        # The initial weights are a function of the seed alone, whatever was drawn before.
        torch.manual_seed(subseed(config.training.seed, "weights") % (1 << 63))
        return Trainee(make_denoiser(build(network), config.process), config.training, engine)

    def settings(self, network: NetworkSpec) -> dict[str, Any]:
        return {f"network.{key}": value for key, value in network.to_json().items()}

    def card(self, config: Config, network: NetworkSpec, prepared: Prepared) -> Card:
        codec = prepared.dataset.codec
        facts, parts = prepared.data_facts, prepared.parts
        return Card(network, config.process, codec, prepared.label_names, config.sampling, facts, parts)

    def read_card(self, values: dict[str, Any]) -> Card:
        return Card.from_json(values)

    def look(self, card: Card, prepared: Prepared) -> Look:
        held = prepared.held
        assert held is None or isinstance(held, Batches)
        num = _grid_size(prepared.num_classes)
        texts = _texts(card, prepared.dataset, None if held is None else held.data, num)
        return Pictures(card, held, num=len(texts) or num, texts=texts)

    def describe(self, network: NetworkSpec) -> str:
        with torch.device("meta"):
            count = sum(p.numel() for p in build(network).parameters())
        return f"{network.kind} of width {network.width} with {count / 1e6:.2f}M parameters"


def _names_checked(config: Config) -> None:
    """Refuses a name that no table has while nothing has been read or written."""
    TARGETS[config.process.target]
    PRECISIONS[config.training.precision]
    SOLVERS[config.sampling.solver]
    GRIDS[config.sampling.grid]
    PAIRS[config.sampling.guidance_kind]
    if config.network.kind is not None:
        NETWORKS[config.network.kind]


def _spread(dataset: Dataset) -> float:
    """The data's root mean square over (at most) 2,000 items: the scale the network's inputs are divided by."""
    chosen = np.linspace(0, len(dataset) - 1, min(len(dataset), 2000)).astype(np.int64)
    x, _ = dataset.fetch(chosen)
    squares = x.double().square()
    mean = squares[~x.isnan()].mean() if isinstance(dataset.codec, SeriesCodec) else squares.mean()
    return round(max(mean.sqrt().item(), 1e-3), 4)


def _texts(card: Card, train: Dataset, held: Dataset | None, num: int) -> tuple[str, ...]:
    """Texts to sample along the way, at equal steps through the items: half of them of items held out, if there are
    any. None for a model without texts, or with several."""
    part = text_part(card.schema)
    if part is None:
        return ()
    found: list[str] = []
    sides = [train] if held is None else [train, held]
    for side in sides:
        words = next(column.words for column in side.columns if column.part.name == part.name)
        assert words is not None
        there = words[words != ""]
        found += there[np.linspace(0, len(there) - 1, min(num // len(sides), len(there))).astype(np.int64)].tolist()
    return tuple(found)


def _grid_size(num_classes: int) -> int:
    """Samples in a grid: eight of each class where there are few, 64 where there are none."""
    return min(8, max(1, 128 // num_classes)) * num_classes if num_classes else 64
