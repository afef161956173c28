"""Training a classifier of noisy data, which guides a model that was trained without it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..classifiers.model import ClassifierCard, ClassifierSpec
from ..config import Config, DataSettings, ProcessSettings
from ..data.arrays import Dataset
from ..foundations.devices import best_device
from ..foundations.errors import UserError
from ..foundations.rng import subseed
from ..guidance import NoisyClassifier
from ..losses import DENSITIES
from ..model import make_process, option_checked
from .batches import Batch, Batches
from .engine import PRECISIONS, Engine
from .kind import Kind
from .prepare import Prepared, parts
from .run import CONFIG, DENOISERS, Run
from .trainee import Trainee

_HELD_OUT = 512
_WIDTH = 64


class Learner(nn.Module):
    """The classifier, and its loss.

    Attributes:
        network: log p(label given x_t).
    """

    def __init__(self, network: NoisyClassifier) -> None:
        super().__init__()
        self.network = network

    def losses(self, batch: Batch) -> Tensor:
        """-log p(label given x_t) in nats, (B,)."""
        return F.cross_entropy(self.logits(batch), batch.cond["label"], reduction="none")

    def logits(self, batch: Batch) -> Tensor:
        """log p(y given x_t) up to a constant, (B, K)."""
        network = self.network
        return network.logits(network.process.corrupt(batch.x0, batch.t, batch.noise), batch.t).float()


class ClassifierKind(Kind):
    """log p(label given x_t) at every noise level. Where the data are the folder of a run, they and the schedule are
    that run's, whose model it can then guide."""

    def prepare(self, config: Config) -> Prepared:
        PRECISIONS[config.training.precision]
        if config.training.uncertainty:
            raise UserError("training.uncertainty weighs the losses of a denoiser: leave it out")
        config = _of_run(config)
        found = parts(config)
        if not found.label_names:
            raise UserError(
                f"{config.data.source} has no labels, and a classifier learns from them: give a folder with a "
                "sub-folder for each class, or --set data.labels=FILE.csv"
            )
        assert found.train.labels is not None  # names come with labels
        counts = np.bincount(found.train.labels, minlength=len(found.label_names))
        missing = [name for name, count in zip(found.label_names, counts, strict=True) if not count]
        if missing:
            raise UserError(f"a classifier needs items of every class; there are none of {', '.join(missing)}")
        process = make_process(config.process)
        chosen = config.process.density
        density = option_checked("time density", chosen, DENSITIES[chosen], config.process.density_options)
        settings, device = config.training, best_device()

        def batches(data: Dataset, seed: int, flip: bool) -> Batches:
            return Batches(data, process, density, seed, 0.0, len(found.label_names), flip, device)

        return Prepared(
            batches=batches(found.train, settings.seed, config.data.flip),
            held=batches(found.held, subseed(settings.seed, "held-out"), False) if len(found.held) else None,
            label_names=found.label_names,
            dataset=found.train,
            data_facts=found.facts,
            config=config,
        )

    def check(self, prepared: Prepared, *, force: bool) -> None:
        """A classifier begins nowhere in particular: there is nothing to refuse."""

    def rule(self, config: Config, prepared: Prepared) -> dict[str, Any]:
        spec = describe(config, prepared)
        return {"choose": lambda budget_flops: spec, "flops": lambda spec: 1}

    def trainee(self, config: Config, network: ClassifierSpec, engine: Engine) -> Trainee[Any]:
        torch.manual_seed(subseed(config.training.seed, "weights") % (1 << 63))
        return Trainee(Learner(network.build(config.process)), config.training, engine, Learner.losses)

    def settings(self, network: ClassifierSpec) -> dict[str, Any]:
        return {"network.width": network.width}

    def card(self, config: Config, network: ClassifierSpec, prepared: Prepared) -> ClassifierCard:
        codec = prepared.dataset.codec
        return ClassifierCard(network, config.process, codec, prepared.label_names, prepared.data_facts)

    def read_card(self, values: dict[str, Any]) -> ClassifierCard:
        return ClassifierCard.from_json(values)

    def look(self, card: ClassifierCard, prepared: Prepared) -> Looks:
        held = prepared.held
        assert held is None or isinstance(held, Batches)
        return Looks(held)

    def describe(self, network: ClassifierSpec) -> str:
        return f"a classifier of width {network.width} for {len(network.log_prior)} classes"


@dataclass(frozen=True)
class Looks:
    """The held-out loss, and how often the likeliest class is the right one over all noise levels.

    Attributes:
        held: held-out batches, or None.
    """

    held: Batches | None

    @torch.no_grad()
    def make(self, run: Run, trainee: Trainee[Learner], *, items: int) -> None:
        """Writes a line of metrics."""
        if self.held is None:
            return
        started = time.perf_counter()
        batch = self.held.at(0, min(_HELD_OUT, len(self.held.data)))
        with trainee.engine.autocast():
            logits = trainee.average.logits(batch)
        label = batch.cond["label"]
        run.append(
            {
                "kind": "held_out",
                "items": items,
                "loss": F.cross_entropy(logits, label).item(),
                "accuracy": (logits.argmax(1) == label).float().mean().item(),
                "seconds": time.perf_counter() - started,
            }
        )


def describe(config: Config, prepared: Prepared) -> ClassifierSpec:
    """The classifier for a data set: its classes' shares and its standard deviation, at the width that settings ask."""
    data = prepared.dataset
    assert data.labels is not None
    counts = np.bincount(data.labels, minlength=len(prepared.label_names))
    x = data.fetch(np.arange(min(len(data), 4096)))[0]
    prior = tuple(float(value) for value in np.log(counts / counts.sum()))
    return ClassifierSpec(data.shape, prior, config.network.width or _WIDTH, float(x.std(correction=0)) or 1.0)


def _of_run(config: Config) -> Config:
    """The settings, with data and schedule of the run that the data's source names, if it is one."""
    folder = Path(config.data.source or "")
    if config.data.source is None or not (folder / CONFIG).is_file():
        return config
    run = Run.open(folder)
    if run.kind not in DENOISERS:
        raise UserError(f"{folder} is a run of kind {run.kind}, whose model has no noise: give one of diffusion")
    data = DataSettings.model_validate(run.config["data"])
    theirs = ProcessSettings.model_validate(run.config["process"])
    process = config.process.model_copy(
        update={"schedule": theirs.schedule, "schedule_options": theirs.schedule_options}
    )
    return config.model_copy(update={"data": data, "process": process})
