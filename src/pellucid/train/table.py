r"""Training a joint denoiser of a table's columns.

A row becomes a state by a draw for each cell of a number from its span of levels (see `data.table_schema`), so that
scores are normal and continuous; a missing one is a normal variable of its own. Then they are blurred a little, z to
(1 - h^2)^(1/2) z + h e with e normal and h = N^(-1/4) for N rows: columns keep their laws, correlations shrink by
h^2, and finer structure than few rows can tell is not learned by heart. Numbers and categories are corrupted at one
time t, uniform in (0, 1]. Of half of the rows, some columns are known: each column of the table with a probability
that is itself uniform. Those are shown as they are, and the others learned given them, so that the one network is the
denoiser of every conditional law of its columns (it averages over masks; Tashiro et al., "CSDI: Conditional Score-based
Diffusion Models for Probabilistic Time Series Imputation", 2021, section 4.3, "random strategy").

The loss of a row is the mean over columns of the squared error of scores that are there and not known, weighted as the
settings say, and of t^(-1/2) times the cross-entropy of categories. (The bound has 1/t, whose variance grows without
end; what minimises the loss is the same.)
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import Config
from ..data.arrays import Dataset
from ..data.order import item_at
from ..data.table_codec import TableCodec
from ..foundations.devices import best_device
from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from ..mixed.denoisers import MixedDenoiser
from ..model import GAUSSIAN
from ..nn.rows import Rows, RowsSpec
from ..processes.product import Product
from ..solvers import SOLVERS
from ..tables.generate import sample_rows
from ..tables.model import Layout, TableCard, TableModel, make_product, make_row_denoiser
from .batches import golden
from .engine import PRECISIONS, Engine
from .kind import Kind, Look
from .prepare import Prepared, parts
from .run import Run
from .trainee import Trainee

_LEAST = 8  # rows below which a table is no sample of anything
_DROPOUT = ((1000, 0.4), (5000, 0.2))  # below so many rows
_HELD_OUT = 1024
_SHOWN = 8
_EARLIEST = 1e-3  # of training times
_TOLD = 0.5  # how often some columns are known
_EDGE = 1e-7  # of levels: normal scores stay finite


@dataclass(frozen=True)
class TableBatch:
    """What one micro-batch needs.

    Attributes:
        x0, noise: states and their noise, (B, C).
        t: (B,).
        known: bool (B, C).
    """

    x0: Tensor
    t: Tensor
    noise: Tensor
    known: Tensor


@dataclass(frozen=True)
class TableBatches:
    """Batches of rows as a pure function of (seed, position); the attributes are those of `Batches`.

    Attributes:
        told: how often some columns of a row are known.
        blur: h.
    """

    data: Dataset
    process: Product
    seed: int
    told: float = 0.0
    blur: float = 0.0
    device: torch.device | str = "cpu"
    adaptive: bool = False

    @cached_property
    def codec(self) -> TableCodec:
        """The columns."""
        assert isinstance(self.data.codec, TableCodec)
        return self.data.codec

    @cached_property
    def _packed(self) -> Tensor:
        return self.codec.encode(np.asarray(self.data.items[:])).to(self.device)

    @cached_property
    def _spans(self) -> tuple[Tensor, Tensor]:
        """Low and width of the level of each number, (N, n) float64."""
        low, high = self.codec.spans(np.asarray(self.data.items[:]))
        return torch.from_numpy(low).to(self.device), torch.from_numpy(high - low).to(self.device)

    @cached_property
    def _column(self) -> Tensor:
        """Which column of the table each column of a state belongs to, (C,) int64; a flag belongs to its number."""
        layout, words = Layout.of(self.codec), [name for name, _ in self.codec.alphabets]
        names = [one.name for one in self.codec.numbers] or [""]
        place = {j: i for i, j in self.codec.flags}
        own = [place.get(j, layout.numbers + j) for j in range(len(words) or 1)]
        return torch.tensor([*range(len(names)), *own], device=self.device)

    def at(self, start: int, count: int) -> TableBatch:
        """The batch of positions start ... start + count - 1."""
        positions = np.arange(start, start + count, dtype=np.int64)
        rows = torch.from_numpy(item_at(subseed(self.seed, "order"), positions, len(self.data))).to(self.device)
        stream = Stream(subseed(self.seed, "training"), torch.from_numpy(positions).to(self.device))
        columns = self.process.columns
        noise = self.process.draw(stream, (columns,), step=0)[0, 0]
        low, width = self._spans
        packed = self._packed[rows].double()
        level = low[rows] + width[rows] * stream.uniform((low.shape[1],), step=1)[0, 0]
        scores = torch.special.ndtri(level.clamp(_EDGE, 1 - _EDGE))
        if self.blur:
            scores = math.sqrt(1 - self.blur**2) * scores + self.blur * stream.normal((low.shape[1],), step=4)[0, 0]
        packed[:, : low.shape[1]] = scores
        coins = stream.uniform((columns + 2,), step=2)[0, 0]
        some = (coins[:, :1] < self.told) & (coins[:, 2:] < coins[:, 1:2])
        u = torch.from_numpy(golden(positions, self.seed)).to(self.device)
        t = _EARLIEST + (1 - _EARLIEST) * u
        layout = Layout.of(self.codec)
        x0 = layout.state(packed)
        if not layout.scores:
            x0[:, :1] = stream.normal((1,), step=3)[0, 0]
        return TableBatch(x0, t, noise, some[:, self._column])


def table_objective(denoiser: MixedDenoiser, batch: TableBatch) -> Tensor:
    """The losses of a batch, (B,), as above."""
    numbers, symbols = denoiser.numbers, denoiser.symbols
    x = torch.where(batch.known, batch.x0, denoiser.process.corrupt(batch.x0, batch.t, batch.noise))
    # Through __call__, so that distributed wrappers, compilation and hooks see it.
    mean, law = denoiser.process.answers(denoiser(x, batch.t, known=batch.known, present=True))
    scores, words = denoiser.process.unpack(batch.x0)
    open_scores, open_words = (~batch.known).split([mean.shape[1], words.shape[1]], 1)
    if len(denoiser.flag):
        there = words[:, denoiser.flag] == 0
        open_scores = open_scores.index_put(
            (torch.arange(len(x), device=x.device)[:, None], denoiser.flagged), there & open_scores[:, denoiser.flagged]
        )
    weight = numbers.weighting.at(numbers.schedule, batch.t)[:, None]
    squares = weight * (mean - scores.float()).square() * open_scores
    entropies = batch.t.rsqrt()[:, None] * symbols.cross_entropy(law, words) * open_words
    return (squares.sum(1) + entropies.sum(1)) / x.shape[1]


class Tables(Kind):
    """A joint denoiser of a table's columns."""

    def prepare(self, config: Config) -> Prepared:
        _names_checked(config)
        found = parts(config)
        codec = found.train.codec
        assert isinstance(codec, TableCodec)
        if len(found.train) < _LEAST:
            raise UserError(
                f"{found.train.name} has {len(found.train) + len(found.held)} rows, {len(found.train)} of them to "
                f"learn from: a model of fewer than {_LEAST} would only repeat them; give more rows"
            )
        settings, device = config.training, best_device()
        process = make_product(config.process, describe(config, found.train))
        held = subseed(settings.seed, "held-out")
        return Prepared(
            batches=TableBatches(found.train, process, settings.seed, _TOLD, len(found.train) ** -0.25, device),
            held=TableBatches(found.held, process, held, device=device) if len(found.held) else None,
            label_names=(),
            dataset=found.train,
            data_facts=found.facts,
            config=config,
        )

    def check(self, prepared: Prepared, *, force: bool) -> None:
        """Scores are normal by construction, as the process's prior is: there is nothing to refuse."""

    def rule(self, config: Config, prepared: Prepared) -> dict[str, Any]:
        spec = describe(config, prepared.dataset)
        return {"choose": lambda budget_flops: spec, "flops": lambda spec: 1}

    def trainee(self, config: Config, network: RowsSpec, engine: Engine) -> Trainee[Any]:
        torch.manual_seed(subseed(config.training.seed, "weights") % (1 << 63))
        denoiser = make_row_denoiser(network, config.process)
        return Trainee(denoiser, config.training, engine, table_objective)

    def settings(self, network: RowsSpec) -> dict[str, Any]:
        return {f"network.{key}": value for key, value in network.to_json().items()}

    def card(self, config: Config, network: RowsSpec, prepared: Prepared) -> TableCard:
        codec = prepared.dataset.codec
        assert isinstance(codec, TableCodec)
        return TableCard(network, config.process, codec, config.sampling, prepared.data_facts)

    def read_card(self, values: dict[str, Any]) -> TableCard:
        return TableCard.from_json(values)

    def look(self, card: TableCard, prepared: Prepared) -> Look:
        held = prepared.held
        assert held is None or isinstance(held, TableBatches)
        return TableLooks(card, held)

    def describe(self, network: RowsSpec) -> str:
        with torch.device("meta"):
            count = sum(p.numel() for p in Rows(network).parameters())
        return f"rows of {network.blocks} blocks of width {network.width} with {count / 1e6:.2f}M parameters"


@dataclass(frozen=True)
class TableLooks:
    """Fixed-seed rows, and the loss on the same held-out ones at every look.

    Attributes:
        card: of the model.
        held: held-out batches, or None.
    """

    card: TableCard
    held: TableBatches | None

    def make(self, run: Run, trainee: Trainee[MixedDenoiser], *, items: int) -> None:
        """Writes lines of metrics: some rows, and the held-out loss."""
        started = time.perf_counter()
        model = TableModel(trainee.average, self.card, weights_hash="")
        rows = model.rows(sample_rows(model, _SHOWN))
        run.append({"kind": "rows", "items": items, "rows": rows, "seconds": time.perf_counter() - started})
        if self.held is not None:
            started = time.perf_counter()
            with torch.no_grad(), trainee.engine.autocast():
                # The same rows at several times and with several draws each, because they may be few.
                loss = table_objective(trainee.average, self.held.at(0, _HELD_OUT)).mean().item()
            run.append({"kind": "held_out", "items": items, "loss": loss, "seconds": time.perf_counter() - started})


def describe(config: Config, data: Dataset) -> RowsSpec:
    """The network that settings ask for, with what is absent by the rule for the data.

    Rows are few and a network of rows is quick, so it is not the budget that sizes it but what can be learned: 3 blocks
    of 3 sqrt(N) units for N rows, to the nearest 16, from 48 to 256, and of activations 0.4 dropped below 1,000 rows,
    0.2 below 5,000, else 0.1. (Of penguins, networks of 64 to 256 units with less dropout learned rows by heart within
    minutes: rows made were nearer to training rows than to held-out ones, which cost more bits.)
    """
    codec = data.codec
    assert isinstance(codec, TableCodec)
    layout = Layout.of(codec)
    sizes = tuple(size for _, size in codec.alphabets) or (1,)
    given = {key: value for key, value in config.network.model_dump().items() if value is not None}
    rows = len(data)
    width = min(256, max(48, 16 * round(3 * math.sqrt(rows) / 16)))
    dropout = next((share for most, share in _DROPOUT if rows < most), 0.1)
    rule = {"width": width, "blocks": 3, "dropout": dropout}
    for key in set(given) - {"kind", "width", "blocks", "dropout", "frequencies"}:
        raise UserError(f"network.{key} is for other networks than that of tables: leave it out")
    given.pop("kind", None)
    return RowsSpec(layout.numbers, sizes, flags=codec.flags, **{**rule, **given})


def _names_checked(config: Config) -> None:
    """Refuses a name that no table has while nothing has been written."""
    if config.process.kind == GAUSSIAN:
        raise UserError("models of tables need a process for categories: set process.kind=absorbing or uniform")
    PRECISIONS[config.training.precision]
    SOLVERS[config.sampling.solver]
    if config.network.kind not in (None, "rows"):
        raise UserError(f"a model of a table is a network of rows, not {config.network.kind!r}: leave it out")
    if config.training.uncertainty:
        raise UserError("training.uncertainty weighs noise levels of numbers, and tables have more: leave it out")
    if config.process.learned_variance or config.process.density != "log-normal":
        raise UserError("process.learned_variance and process.density are for numbers alone: leave them out of tables")
