"""Our side of the benchmarks: the `digits` recipe exactly as `pellucid train digits` would run it.

Nothing is chosen here: settings come from the recipe, the network from the rule and the calibration of this machine.

Run by itself it prints the network that the recipe gives here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from pellucid.config import Resolved, resolve
from pellucid.data.arrays import Dataset
from pellucid.foundations.devices import best_device
from pellucid.model import Model
from pellucid.nn import training_flops
from pellucid.recipes import RECIPES
from pellucid.train import start
from pellucid.train.batches import Batches
from pellucid.train.budget import parse_budget
from pellucid.train.calibrate import Calibration, calibrate
from pellucid.train.diffusion import Diffusion
from pellucid.train.engine import Engine
from pellucid.train.trainee import Trainee

DIFFUSION = Diffusion()


def settings(budget: str | None = None) -> Resolved:
    """The recipe's settings, with another budget where one is given."""
    layers = [("recipe digits", {"recipe": "digits", **RECIPES["digits"].settings})]
    if budget is not None:
        layers.append(("benchmark", {"training": {"budget": budget}}))
    return resolve(layers)


@dataclass(frozen=True)
class Digits:
    """The recipe, ready for its first step.

    Attributes:
        trainee: network, average and optimiser.
        batches: where its items come from.
        batch_size: items of a step.
        lr: its peak learning rate.
        calibration: the network and what was measured to choose it.
        model: the averaged (here: untrained) weights as a model to sample from.
    """

    trainee: Trainee
    batches: Batches
    batch_size: int
    lr: float
    calibration: Calibration
    model: Model

    @property
    def num_parameters(self) -> int:
        """Of the network."""
        return sum(p.numel() for p in self.trainee.parameters())

    def describe(self) -> str:
        """The network in a line."""
        spec = self.calibration.network
        return (
            f"{spec.kind} of width {spec.width} x {spec.multipliers}, {spec.blocks} blocks a level, patch "
            f"{spec.patch}, attention at level {', '.join(map(str, spec.attention)) or 'none'}: "
            f"{self.num_parameters / 1e6:.2f}M parameters, {training_flops(spec) / 1e6:.0f} MFLOP an item by the "
            f"sizing rule; batches of {self.batch_size}"
        )


def digits(budget: str | None = None) -> Digits:
    """The recipe's trainee for its own or another budget; a time is calibrated on this machine as in training."""
    config = settings(budget).config
    prepared = DIFFUSION.prepare(config)
    config = prepared.config
    engine = Engine(best_device())
    found = calibrate(
        config,
        parse_budget(config.training.budget),
        prepared.batches,
        shape=prepared.dataset.shape,
        num_classes=prepared.num_classes,
        engine=engine,
        make=lambda spec, e: DIFFUSION.trainee(config, spec, e),
    )
    trainee = DIFFUSION.trainee(config, found.network, replace(engine, precision=found.precision))
    model = Model(trainee.average, DIFFUSION.card(config, found.network, prepared), weights_hash="")
    return Digits(trainee, prepared.batches, config.training.batch_size, config.training.lr, found, model)


def real_digits() -> tuple[Dataset, Dataset]:
    """The recipe's training and held-out items."""
    return start.open_split(settings().config)


def tensors(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """All items (N, C, H, W) in [-1, 1] and labels (N,)."""
    x, labels = dataset.fetch(np.arange(len(dataset)))
    assert labels is not None
    return x, labels


if __name__ == "__main__":
    print(digits().describe())
