r"""Energy models that stand alone: an unnormalised density of the data themselves, with no noise and no time.

A normal law of the data's mean and of a somewhat larger spread s is tilted by the potential of a network (`nn.energy`):

    p(x) = N(x; m, s^2 I) exp(phi((x - m)/s)) / Z,   E(x) = -log N(x) - phi                                        (1)

The networks' last normalisation bounds their output, so phi grows at most like |x| and Z is finite. The normal law is
where chains begin, what noise-contrastive estimation contrasts with, and the foot of the ladder that finds Z.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.codecs import Codec, codec_from_json
from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..foundations.rng import Stream, subseed
from ..mcmc import Adjusted, NormalBase, Normaliser, annealed_importance, geometric, thermodynamic
from ..mcmc.base import by_energy
from ..mcmc.chains import run_chains, tune
from ..mcmc.ladder import climb, rung_lengths
from ..model import MODEL, Stored, read
from ..nn import EnergyNetwork, NetworkSpec, build

EBM = "ebm"
METHODS: Registry[str] = Registry(
    "way to learn an energy", {"cd": "contrastive divergence", "nce": "noise-contrastive estimation"}
)
_RUNGS = 16
_MOST_ANNEALED = 256  # values of an item whose normaliser a ladder of so few rungs can tell


@dataclass(frozen=True)
class EnergySpec:
    """How an `EnergyLaw` is built.

    Attributes:
        network: of the potential.
        method: a name among `METHODS`.
        mean: m of (1), a number for each channel (of points, each value).
        std: s of (1).
        chains: persistent ones that it keeps; 0 for none.
    """

    network: NetworkSpec
    method: str
    mean: tuple[float, ...]
    std: float
    chains: int = 0

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values; `from_json` reads them back."""
        return {**asdict(self), "network": self.network.to_json(), "mean": list(self.mean)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EnergySpec:
        """The spec that `to_json` wrote."""
        network = NetworkSpec.from_json(values["network"])
        return cls(network, values["method"], tuple(values["mean"]), values["std"], values["chains"])


class EnergyLaw(nn.Module):
    """The energy (1), with all that is learned beside the network's weights.

    Attributes:
        potential: an `EnergyNetwork`, asked at the noise level 0 throughout.
        mean: m, (*shape).
        std: s.
        log_z: log Z as noise-contrastive estimation learned it; 0 otherwise.
        chains: states of the persistent chains, (num, *shape).
        length: of their moves.
    """

    mean: Tensor
    chains: Tensor
    length: Tensor

    def __init__(self, spec: EnergySpec) -> None:
        super().__init__()
        network = build(spec.network)
        assert isinstance(network, EnergyNetwork)
        self.potential, self.std = network, spec.std
        self.log_z = nn.Parameter(torch.zeros(()))
        shape = spec.network.shape
        mean = torch.tensor(spec.mean).reshape(-1, *(1,) * (len(shape) - 1)).expand(shape).contiguous()
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("chains", torch.zeros(spec.chains, *shape))
        self.register_buffer("length", torch.tensor(0.1 * spec.std))

    @property
    def base(self) -> NormalBase:
        """The normal law of (1)."""
        return NormalBase(self.mean, self.std)

    def tilt(self, x: Tensor) -> Tensor:
        """phi of (1), (B,)."""
        inner = (x - self.mean) / self.std
        return self.potential.potential(inner, inner.new_zeros(len(x)))

    def energy(self, x: Tensor) -> Tensor:
        """E of (1), (B,): -log p(x) less log Z."""
        return self.base.energy(x) - self.tilt(x)


@dataclass(frozen=True)
class EnergyCard:
    """What is needed, beside the weights, to build and use an energy model; it travels in every checkpoint.

    Attributes:
        network: how it is built.
        codec: how items became tensors.
        data: name, counts and hash of what it was trained on.
    """

    network: EnergySpec
    codec: Codec
    data: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The card as JSON values; `from_json` reads it back."""
        return {"kind": EBM, "network": self.network.to_json(), "codec": self.codec.to_json(), "data": self.data}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EnergyCard:
        """The card that `to_json` wrote."""
        return cls(EnergySpec.from_json(values["network"]), codec_from_json(values["codec"]), values["data"])


@dataclass(frozen=True)
class EnergyModel:
    """An energy model with its card.

    Attributes:
        law: the energy, on its device, in evaluation mode.
        card: what it is.
        weights_hash: sha256 of the weights.
        origin: where it was read from.
        notes: what a person should know of the reading.
    """

    law: EnergyLaw
    card: EnergyCard
    weights_hash: str = ""
    origin: str = ""
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        return self.card.network.network.shape

    @torch.no_grad()
    def energy(self, x: Tensor) -> Tensor:
        """E(x) in nats, (B,), of items in the model's scale, (B, *shape)."""
        return self.law.energy(x.to(self.law.mean))

    def log_prob(self, x: Tensor, log_z: float | None = None) -> Tensor:
        """-E(x) - log Z in nats, (B,).

        Args:
            x: items in the model's scale, (B, *shape).
            log_z: from `normaliser`; if absent, the one that noise-contrastive estimation learned.

        Raises:
            UserError: a model that was learned by contrastive divergence, which tells nothing of Z.
        """
        if log_z is None:
            if self.card.network.method != "nce":
                raise UserError("contrastive divergence learns no normaliser: estimate it with model.normaliser()")
            log_z = self.law.log_z.item()
        return -self.energy(x) - log_z

    def normaliser(
        self, *, method: str = "annealed", rungs: int = _RUNGS, chains: int = 300, seed: int = 0
    ) -> Normaliser:
        """log Z with its error bar, by "annealed" importance sampling or by "thermodynamic" integration.

        Raises:
            UserError: another method, or items of so many values that a few hundred chains tell nothing of Z.
        """
        size = math.prod(self.shape)
        if size > _MOST_ANNEALED:
            raise UserError(
                f"log Z is estimated for items of at most {_MOST_ANNEALED} values, and these have {size}: no error bar "
                "would be worth its name"
            )
        ways = Registry("normaliser", {"annealed": annealed_importance, "thermodynamic": thermodynamic})
        return ways[method](geometric(self.law.base, self.law.energy, rungs=rungs), chains=chains, seed=seed)

    def sample(self, num: int, *, seed: int = 0, first: int = 0, moves: int = 100, batch_size: int = 1024) -> Tensor:
        """Samples, (num, *shape), in the model's scale. Sample i depends on the weights, the seed and i alone.

        They begin at the model's persistent chains where it keeps any, else climb a ladder from the normal law; then
        all make `moves` Metropolis-adjusted moves, whose length a pilot has found.

        Raises:
            UserError: numbers out of range.
        """
        if num < 1 or first < 0 or moves < 1:
            raise UserError(f"ask for at least 1 sample, numbered from 0, after at least 1 move: got {num=}, {first=}")
        pilot = Stream.of(subseed(seed, "pilot"), range(64), device=self.law.mean.device)
        ladder = geometric(self.law.base, self.law.energy, rungs=_RUNGS)
        target, kernel = by_energy(self.law.energy), Adjusted()
        lengths = () if len(self.law.chains) else rung_lengths(ladder, kernel, stream=pilot, warmup=15)

        def start(stream: Stream) -> Tensor:
            if len(self.law.chains):
                pick = (stream.uniform((), step=0)[0, 0] * len(self.law.chains)).long()
                return self.law.chains[pick]
            x = self.law.base.draws(stream)
            for _, made in climb(ladder, x, kernel, stream=stream, moves=4, lengths=lengths):
                x = made.place.x
            return x

        with torch.no_grad():
            place = target(start(pilot))
        _, length = tune(target, place, kernel, stream=pilot, num_moves=60, length=float(self.law.length), step=1000)
        parts = []
        for begin in range(first, first + num, batch_size):
            ids = range(begin, min(begin + batch_size, first + num))
            stream = Stream.of(seed, ids, device=self.law.mean.device)
            made = run_chains(
                target, start(stream), kernel, stream=stream, num_moves=moves, length=length, every=moves, step=1000
            )
            parts.append(made.place.x)
        return torch.cat(parts)


def load_ebm(path: str | Path, *, device: str | torch.device | None = None) -> EnergyModel:
    """Reads an energy model, as `model.load` reads a diffusion model: arguments are the same, and so are errors.

    Raises:
        UserError: also for a model of another kind.
    """
    return ebm_from_stored(read(path), device=device)


def ebm_from_stored(found: Stored, *, device: str | torch.device | None = None) -> EnergyModel:
    """The energy model that `read` found; arguments and errors are those of `load_ebm`."""
    if found.kind != EBM:
        raise UserError(f"{found.origin} is no energy model; make one: pellucid train ebm --data FILE")
    card = EnergyCard.from_json(found.saved.documents[MODEL])
    law, weights = found.loaded(EnergyLaw(card.network), device)
    return EnergyModel(law, card, weights, found.origin, found.notes)
