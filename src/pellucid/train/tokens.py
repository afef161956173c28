"""Training a denoiser of symbols: texts, or whatever else consists of tokens."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import Config
from ..data.arrays import Dataset
from ..data.tokens import TokenCodec
from ..foundations.devices import best_device
from ..foundations.errors import UserError
from ..foundations.rng import subseed
from ..losses.tokens import token_loss
from ..model import GAUSSIAN, Card
from ..nn import NetworkSpec, build
from ..processes.named import MARGINAL, SYMBOL_PROCESSES, masks
from ..processes.survival import SURVIVALS
from ..processes.symbols import Symbols
from ..solvers import TOKEN_SOLVERS
from ..tokens.denoisers import TokenDenoiser
from ..tokens.generate import sample_tokens
from ..tokens.model import TokenModel, make_symbols, make_token_denoiser, num_symbols
from . import checkpoint
from .batches import Batch, golden, items_at
from .diffusion import Diffusion
from .engine import PRECISIONS, Engine
from .kind import Look
from .prepare import Parts, Prepared, parts
from .run import Run
from .trainee import Trainee

_HELD_OUT = 1024
_SHOWN = 16
_CHECKED = 256  # items on which a process must end at its prior
_FORGOTTEN = 0.01
_COUNTED = 10_000  # items whose symbols are counted
_OF_MASKS = ("first-hitting", "cached", "remasking", "confidence")  # solvers that ask for a mask


@dataclass(frozen=True)
class TokenBatches:
    """Batches of tokens as a pure function of (seed, position); the attributes are those of `Batches`."""

    data: Dataset
    process: Symbols
    seed: int
    label_dropout: float = 0.0
    null_label: int = 0
    device: torch.device | str = "cpu"
    adaptive: bool = False

    def at(self, start: int, count: int) -> Batch:
        """The batch of positions start ... start + count - 1, at times where the bound's variance is finite."""
        positions = np.arange(start, start + count, dtype=np.int64)
        x0, cond, stream = items_at(
            self.data,
            self.seed,
            positions,
            label_dropout=self.label_dropout,
            null_label=self.null_label,
            flip=False,
            device=self.device,
        )
        noise = self.process.draw(stream, self.data.shape, step=0)[0, 0]
        u = torch.from_numpy(golden(positions, self.seed)).to(self.device)
        t, slope = self.process.times(u)
        return Batch(x0, t, noise, cond, factor=slope)


def token_objective(denoiser: TokenDenoiser, batch: Batch) -> Tensor:
    """The losses of a batch, (B,), in nats for each place: their mean over times bounds -log p(x)."""
    losses = token_loss(denoiser, batch.x0, batch.t, batch.noise, **batch.cond)
    return losses if batch.factor is None else losses * batch.factor


@dataclass(frozen=True)
class Tokens(Diffusion):
    """A denoiser of symbols."""

    def prepare(self, config: Config) -> Prepared:
        found = parts(config)
        if not isinstance(found.train.codec, TokenCodec):
            raise UserError(
                f"the data {found.train.name!r} are {found.train.codec.kind} items, and this kind of model learns "
                "texts: give a .txt file, names or verses"
            )
        return self.of_symbols(config, found, found.train.codec.num_symbols)

    def of_symbols(self, config: Config, found: Parts, symbols: int) -> Prepared:
        """The parts of a data set of so many symbols, ready for training."""
        _names_checked(config)
        config = _law_measured(config, found.train, symbols)
        process = make_symbols(config.process, num_symbols(symbols, config.process))
        process.grid(config.sampling.steps)  # refuses more steps than a chain has, before any are trained
        settings, names, device = config.training, found.label_names, best_device()

        def batches(data: Dataset, seed: int, dropout: float) -> TokenBatches:
            return TokenBatches(data, process, seed, dropout, len(names), device)

        return Prepared(
            batches=batches(found.train, settings.seed, settings.label_dropout),
            held=batches(found.held, subseed(settings.seed, "held-out"), 0.0) if len(found.held) else None,
            label_names=names,
            dataset=found.train,
            data_facts=found.facts,
            config=config,
        )

    def check(self, prepared: Prepared, *, force: bool) -> None:
        """A chain that does not forget its data would begin its samples where none of them can be."""
        process, data = prepared.batches.process, prepared.batches.data
        x0 = data.codec.encode(np.asarray(data.items[np.arange(min(_CHECKED, len(data)))]))
        bits = process.prior_divergence(x0).double().mean().item() / math.log(2)
        if bits > _FORGOTTEN and not force:
            raise UserError(
                f"this process ends {bits:.3g} bits a symbol from its prior, and {_FORGOTTEN} is the most that samples "
                "do not show: use more steps (process.options.steps), a wider band, or --force"
            )

    def rule(self, config: Config, prepared: Prepared) -> dict[str, Any]:
        return {"symbols": prepared.batches.process.num_symbols}

    def trainee(self, config: Config, network: NetworkSpec, engine: Engine) -> Trainee[Any]:
        torch.manual_seed(subseed(config.training.seed, "weights") % (1 << 63))
        denoiser = make_token_denoiser(build(network), network, config.process)
        return Trainee(denoiser, config.training, engine, token_objective)

    def look(self, card: Card, prepared: Prepared) -> Look:
        held = prepared.held
        assert held is None or isinstance(held, TokenBatches)
        return TokenLooks(card, held)

    def files(self, card: Card) -> checkpoint.Files:
        return card.files()


@dataclass(frozen=True)
class TokenLooks:
    """Fixed-seed samples, and the bound on the same held-out items at every look.

    Attributes:
        card: of the model.
        held: held-out batches, or None.
    """

    card: Card
    held: TokenBatches | None

    def make(self, run: Run, trainee: Trainee[TokenDenoiser], *, items: int) -> None:
        """Writes lines of metrics: texts, and the held-out loss."""
        started = time.perf_counter()
        model = TokenModel(trainee.average, self.card, weights_hash="")
        self.show(run, model, items)
        if self.held is not None:
            started = time.perf_counter()
            with torch.no_grad(), trainee.engine.autocast():
                batch = self.held.at(0, min(_HELD_OUT, len(self.held.data)))
                loss = token_objective(trainee.average, batch).mean().item()
            run.append({"kind": "held_out", "items": items, "loss": loss, "seconds": time.perf_counter() - started})

    def show(self, run: Run, model: TokenModel, items: int) -> None:
        """Writes a line of sampled texts."""
        started = time.perf_counter()
        texts = model.texts(sample_tokens(model, _SHOWN))
        run.append({"kind": "texts", "items": items, "texts": texts, "seconds": time.perf_counter() - started})


def _law_measured(config: Config, data: Dataset, symbols: int) -> Config:
    """The settings with the law of the data's symbols, where the noise is to have it and nothing was said of it."""
    process = config.process
    if process.kind != MARGINAL or "law" in process.options:
        return config
    rows = np.linspace(0, len(data) - 1, min(len(data), _COUNTED)).astype(np.int64)
    counts = np.bincount(data.codec.encode(np.asarray(data.items[rows])).flatten().numpy(), minlength=symbols) + 1.0
    law = (counts / counts.sum()).tolist()
    return config.model_copy(
        update={"process": process.model_copy(update={"options": {**process.options, "law": law}})}
    )


def _names_checked(config: Config) -> None:
    """Refuses a name that no table has while nothing has been written."""
    if config.process.kind == GAUSSIAN:
        raise UserError(
            f"models of symbols need a process on symbols: set process.kind to one of {', '.join(SYMBOL_PROCESSES)}, "
            f"and process.schedule to one of {', '.join(SURVIVALS)}"
        )
    SYMBOL_PROCESSES[config.process.kind]
    SURVIVALS[config.process.schedule]
    PRECISIONS[config.training.precision]
    TOKEN_SOLVERS[config.sampling.solver]
    if not masks(config.process.kind) and config.sampling.solver in _OF_MASKS:
        raise UserError(
            f"sampling.solver={config.sampling.solver} is for masked models, and process.kind={config.process.kind} "
            "has no mask: set sampling.solver=ancestral"
        )
    if config.network.kind not in (None, "sequence"):
        raise UserError(f"a model of symbols is a sequence network, not {config.network.kind!r}: leave it out")
    if config.training.uncertainty:
        raise UserError("training.uncertainty weighs noise levels of numbers, and symbols have none: leave it out")
