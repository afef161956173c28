r"""Training an energy model: contrastive divergence with persistent chains, or noise-contrastive estimation.

Contrastive divergence follows -grad log p = grad E(data) - E_p[grad E], the second term from chains that go on where
they were left (Tieleman, "Training Restricted Boltzmann Machines Using Approximations to the Likelihood Gradient",
2008), now and then begun anew, with a small penalty on the potential's square (Du and Mordatch, "Implicit Generation
and Modeling with Energy-Based Models", 2019, section 3):

    phi(chain) - phi(x) + r (phi(x)^2 + phi(chain)^2)                                                              (1)

Our moves are Metropolis-adjusted, so their temperature is that of the model, and their length follows their acceptance.

Noise-contrastive estimation tells data from n draws each of the normal law (Gutmann and Hyvärinen, "Noise-Contrastive
Estimation", 2010, eq. 8), with the normaliser a parameter among others:

    softplus(-G(x)) + sum_j softplus(G(y_j)),   G = phi - log Z - log n                                            (2)
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Config, EnergySettings
from ..data.arrays import Dataset
from ..data.inspect import contact_sheet
from ..energies.ebm import METHODS, EnergyCard, EnergyLaw, EnergyModel, EnergySpec
from ..foundations.devices import best_device
from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from ..mcmc import Adjusted, by_energy
from ..mcmc.chains import randomness
from ..nn import NETWORKS
from ..nn.choose import structure
from .batches import items_at
from .engine import PRECISIONS, Engine
from .kind import Kind
from .prepare import Prepared, parts
from .run import Run
from .trainee import Trainee

_HELD_OUT = 512
_SHOWN = 64
_MOST_CONTRASTED = 64  # values of an item beyond which normal noise is told from data at a glance, and teaches nothing
_FOLLOWS = 0.02  # how fast log of the moves' length follows their acceptance


@dataclass(frozen=True)
class EnergyBatch:
    """Items (B, *shape) and the random numbers of their positions, of which steps 0 to 2 are used up."""

    x0: Tensor
    stream: Stream


@dataclass(frozen=True)
class EnergyBatches:
    """Batches as a pure function of (seed, position); the attributes are those of `Batches`."""

    data: Dataset
    seed: int
    flip: bool = False
    device: torch.device | str = "cpu"
    adaptive: bool = False

    def at(self, start: int, count: int) -> EnergyBatch:
        """The batch of positions start ... start + count - 1."""
        positions = np.arange(start, start + count, dtype=np.int64)
        x0, _, stream = items_at(
            self.data, self.seed, positions, label_dropout=0.0, null_label=0, flip=self.flip, device=self.device
        )
        return EnergyBatch(x0, stream)


class Learner(nn.Module):
    """An energy with its loss.

    Attributes:
        network: the energy.
        settings: of the loss.
        method: a name among `METHODS`.
    """

    def __init__(self, network: EnergyLaw, settings: EnergySettings, method: str) -> None:
        super().__init__()
        self.network, self.settings, self.method = network, settings, method

    def losses(self, batch: EnergyBatch) -> Tensor:
        """Equation (1) or (2), (B,)."""
        law = self.network
        if self.method == "nce":
            return contrast(law, batch, self.settings.noise)
        there = advance(law, batch.stream, self.settings)
        data, chain = law.tilt(batch.x0), law.tilt(there)
        return chain - data + self.settings.penalty * (data.square() + chain.square())


def contrast(law: EnergyLaw, batch: EnergyBatch, noise: int) -> Tensor:
    """Equation (2) with n = noise, (B,)."""
    x, offset = batch.x0, law.log_z + math.log(noise)
    draws = law.mean + law.std * batch.stream.normal(x.shape[1:], step=3, num_draws=noise)[0]
    fake = law.tilt(draws.flatten(0, 1)).reshape(noise, len(x)) - offset
    return F.softplus(-(law.tilt(x) - offset)) + F.softplus(fake).sum(0)


@torch.no_grad()
def advance(law: EnergyLaw, stream: Stream, settings: EnergySettings) -> Tensor:
    """Moves on the chains whose turn it is, (B, *), and puts them back; a few of them begin anew.

    Chain `position mod count` belongs to a position, so all of them move on in turn, whatever the batch.
    """
    slots = stream.ids % len(law.chains)
    x = law.chains[slots]
    anew = stream.uniform((), step=4)[0, 0] < settings.restart
    x = torch.where(anew.reshape(-1, *(1,) * (x.ndim - 1)), law.base.draws(stream).to(x), x)
    kernel, target, total = Adjusted(), by_energy(law.energy), torch.zeros_like(law.length)
    place = target(x)
    for i in range(settings.moves):
        place, chance = kernel(target, place, float(law.length), *randomness(kernel, x, stream, 5 + i))
        total += chance.mean() / settings.moves
    law.chains[slots] = place.x
    law.length.mul_(((total - kernel.aim) * _FOLLOWS).exp())
    return place.x


class EnergyKind(Kind):
    """An energy that stands alone, of items without labels."""

    def prepare(self, config: Config) -> Prepared:
        method = config.energy.method
        METHODS[method]
        PRECISIONS[config.training.precision]
        if config.training.uncertainty:
            raise UserError("training.uncertainty weighs the losses of noise levels, and an energy model has none")
        if config.network.kind is not None:
            NETWORKS[config.network.kind]
        found = parts(config).without_labels()
        size = math.prod(found.train.shape)
        if method == "nce" and size > _MOST_CONTRASTED:
            raise UserError(
                f"noise-contrastive estimation tells data from normal noise, which is too easy for items of {size} "
                f"values to teach anything (at most {_MOST_CONTRASTED}): use --set energy.method=cd"
            )
        settings, device = config.training, best_device()
        if settings.precision == "auto":  # moves are accepted by differences of energies, which 16 bits do not have
            config = config.model_copy(update={"training": settings.model_copy(update={"precision": "float32"})})

        def batches(data: Dataset, seed: int, flip: bool) -> EnergyBatches:
            return EnergyBatches(data, seed, flip, device)

        return Prepared(
            batches=batches(found.train, settings.seed, config.data.flip),
            held=batches(found.held, subseed(settings.seed, "held-out"), False) if len(found.held) else None,
            label_names=(),
            dataset=found.train,
            data_facts=found.facts,
            config=config,
        )

    def undivided(self, config: Config) -> str | None:
        return "its chains go on from one batch to the next" if config.energy.method == "cd" else None

    def check(self, prepared: Prepared, *, force: bool) -> None:
        """There is nothing to refuse."""

    def rule(self, config: Config, prepared: Prepared) -> dict[str, Any]:
        spec = describe(config, prepared.dataset)
        return {"choose": lambda budget_flops: spec, "flops": lambda spec: 1}

    def trainee(self, config: Config, network: EnergySpec, engine: Engine) -> Trainee[Any]:
        torch.manual_seed(subseed(config.training.seed, "weights") % (1 << 63))
        law = EnergyLaw(network)
        first = Stream.of(subseed(config.training.seed, "chains"), range(network.chains))
        law.chains.copy_(law.base.draws(first))
        return Trainee(Learner(law, config.energy, network.method), config.training, engine, Learner.losses)

    def settings(self, network: EnergySpec) -> dict[str, Any]:
        return {f"network.{key}": value for key, value in network.network.to_json().items()}

    def card(self, config: Config, network: EnergySpec, prepared: Prepared) -> EnergyCard:
        return EnergyCard(network, prepared.dataset.codec, prepared.data_facts)

    def read_card(self, values: dict[str, Any]) -> EnergyCard:
        return EnergyCard.from_json(values)

    def look(self, card: EnergyCard, prepared: Prepared) -> Looks:
        held = prepared.held
        assert held is None or isinstance(held, EnergyBatches)
        return Looks(card, held)

    def describe(self, network: EnergySpec) -> str:
        with torch.device("meta"):
            count = sum(p.numel() for p in EnergyLaw(replace(network, chains=0)).parameters())
        spec = network.network
        return (
            f"an energy by {METHODS[network.method]}, {spec.kind} of width {spec.width}, {count / 1e6:.2f}M parameters"
        )


@dataclass(frozen=True)
class Looks:
    """Fixed-seed samples, and what the loss watches on held-out items.

    Attributes:
        card: of the model.
        held: held-out batches, or None.
    """

    card: EnergyCard
    held: EnergyBatches | None

    def make(self, run: Run, trainee: Trainee[Learner], *, items: int) -> None:
        """Writes samples/items-*.png and lines of metrics."""
        started = time.perf_counter()
        model = EnergyModel(trainee.average.network, self.card)
        path = run.samples / f"items-{items:09d}.png"
        path.parent.mkdir(exist_ok=True)
        num = _SHOWN if len(model.shape) > 1 else 8 * _SHOWN
        sheet(self.card, model.sample(num, moves=30)).save(path)
        seconds = time.perf_counter() - started
        run.append({"kind": "samples", "items": items, "file": f"samples/{path.name}", "seconds": seconds})
        if self.held is not None:
            started = time.perf_counter()
            facts = held_out(trainee.average, self.held)
            run.append({"kind": "held_out", "items": items, **facts, "seconds": time.perf_counter() - started})


@torch.no_grad()
def held_out(learner: Learner, held: EnergyBatches) -> dict[str, float]:
    """The averaged weights on the same items at every look: (2), and -log p by its normaliser; or the energy of items
    over that of the chains, which is about 0 while they agree."""
    law, batch = learner.network, held.at(0, min(_HELD_OUT, len(held.data)))
    if learner.method == "nce":
        nats = (law.energy(batch.x0) + law.log_z).mean().item()
        return {"loss": contrast(law, batch, learner.settings.noise).mean().item(), "nats": nats}
    chains = law.chains[: len(batch.x0)]
    return {"loss": (law.energy(batch.x0).mean() - law.energy(chains).mean()).item(), "length": float(law.length)}


def sheet(card: EnergyCard, x: Tensor) -> Any:
    """Samples at one look; a plot where they are no pictures."""
    return contact_sheet(Dataset(card.codec.decode(x), None, (), card.codec, "samples"), len(x))


def describe(config: Config, data: Dataset) -> EnergySpec:
    """The energy that settings ask for, with what is absent by the rule for the data.

    Points have a perceptron of 3 blocks of 96 units, others a small U-Net; the normal law has the channels' means and
    `energy.spread` times the root mean square distance to them.

    Raises:
        UserError: settings that do not go together.
    """
    given, shape = config.energy, data.shape
    x, _ = data.fetch(np.linspace(0, len(data) - 1, min(len(data), 2000)).astype(np.int64))
    axes = [0, *range(2, x.ndim)]
    mean = x.double().mean(axes, keepdim=True)
    std = max((x.double() - mean).square().mean().sqrt().item(), 1e-3) * given.spread
    rule = structure(shape, 1)
    rule = replace(rule, width=96, blocks=3) if len(shape) == 1 else replace(rule, width=16, blocks=1, attention=())
    fields = {key: value for key, value in config.network.model_dump().items() if value is not None}
    network = replace(rule, **{**fields, "energy": True})
    centre = tuple(round(value, 6) for value in mean.flatten().tolist())
    return EnergySpec(network, given.method, centre, round(std, 6), given.chains if given.method == "cd" else 0)
