"""What a product process adds to a training step on rows of numbers and categories.

Measured: a step of optimisation of a network on 25 numbers and 25 categories of 11 values each through the
product process (random numbers, corruption, the joint denoiser with its target and its alphabets, the joint loss)
over a bare step of the same network on inputs made beforehand, with a squared error and a cross-entropy. The two take
turns; a ratio of processor times is taken within such a pair, and the table gives the median and quartiles over
rounds. The second table is the same of a step of the recipe `table` with its own network: reading rows, drawing their
scores from spans, blurring them, known columns, dropout and the loss included.

Floor: a ratio of at most 1.10 at batch 512; at 256 the cost of a step's many small operations shows more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from common import Page, arguments, quartiles, table
from torch import Tensor, nn
from torch.nn import functional as F

from pellucid.config import ProcessSettings
from pellucid.data.arrays import Dataset
from pellucid.data.table_codec import TableCodec
from pellucid.data.table_schema import infer
from pellucid.denoisers import EDM
from pellucid.foundations.rng import Stream
from pellucid.losses import denoising_loss
from pellucid.mixed.denoisers import MixedDenoiser
from pellucid.nn.rows import Rows as TableRows
from pellucid.nn.rows import RowsSpec
from pellucid.processes.categorical import absorbing
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.product import Field, Product
from pellucid.processes.schedules import VP
from pellucid.tables.model import make_product
from pellucid.train.table import TableBatches, table_objective

FLOOR = 1.10
NUMBERS, CATEGORIES, SYMBOLS = 25, 25, 12


class Rows(nn.Module):
    """Columns as one vector through residual layers."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.door = nn.Embedding(CATEGORIES * SYMBOLS, 8)
        self.enter = nn.Linear(NUMBERS + 8 * CATEGORIES + 1, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.out = nn.Linear(width, NUMBERS + CATEGORIES * SYMBOLS)

    def forward(self, numbers: Tensor, symbols: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        places = symbols + SYMBOLS * torch.arange(CATEGORIES)
        h = self.enter(torch.cat([numbers, self.door(places).flatten(1), c[:, None]], dim=1))
        for layer in self.layers:
            h = h + F.silu(layer(h))
        out = self.out(h)
        return out[:, :NUMBERS], out[:, NUMBERS:].unflatten(1, (CATEGORIES, SYMBOLS))


def spent_on(work: Callable[[], object]) -> float:
    """Seconds of the processor in one call: others on a shared machine would decide what a clock says of a few."""
    start = time.process_time()
    work()
    return time.process_time() - start


def ratios(width: int, layers: int, batch: int, rounds: int) -> tuple[list[float], list[float]]:
    """Step over bare step, and seconds of a bare step, round by round."""
    numbers = Field("numbers", Gaussian(VP()), NUMBERS)
    process = Product((numbers, Field("categories", absorbing(SYMBOLS), CATEGORIES)))
    network = Rows(width, layers)
    denoiser = MixedDenoiser(network, process, EDM(), [SYMBOLS - 1] * CATEGORIES)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    clean, symbols = torch.randn(batch, NUMBERS), torch.randint(0, SYMBOLS - 1, (batch, CATEGORIES))
    x0, times = process.pack([clean, symbols]), torch.linspace(0.01, 1, batch)
    position = 0

    def descend(loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def whole() -> None:
        nonlocal position
        position += batch
        stream = Stream.of(0, range(position, position + batch))
        noise = process.draw(stream, (process.columns,), step=0)[0, 0]
        descend(denoising_loss(denoiser, x0, times, noise).mean())

    def bare() -> None:
        output, logits = network(clean, symbols, times)
        descend((output - clean).square().mean() + F.cross_entropy(logits.flatten(0, 1), symbols.flatten()))

    return in_turn(whole, bare, rounds)


def in_turn(whole: Callable[[], object], bare: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """Step over bare step, and seconds of a bare step, round by round."""
    found, spent = [], []
    for i in range(rounds + 3):
        step, plain = spent_on(whole), spent_on(bare)
        if i >= 3:
            found.append(step / plain)
            spent.append(plain)
    return found, spent


def rows_of_words(count: int) -> Dataset:
    """A table of 25 numbers and 25 categories of 11 words, nothing missing."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(count, NUMBERS, generator=generator).double().round(decimals=3).numpy()
    words = torch.randint(0, SYMBOLS - 1, (count, CATEGORIES), generator=generator).double().numpy()
    fields = [infer(f"n{i}", [f"{value:.3f}" for value in column]) for i, column in enumerate(numbers.T)]
    fields += [infer(f"c{i}", [f"w{int(value)}" for value in column]) for i, column in enumerate(words.T)]
    codec = TableCodec(tuple(fields))
    # "w10" stands behind "w1": any numbering of words does.
    return Dataset(codec.pack(np.concatenate([numbers, words], axis=1)), None, (), codec, "rows")


def recipe_ratios(data: Dataset, width: int, batch: int, rounds: int) -> tuple[list[float], list[float]]:
    """`ratios` of a step of the recipe `table`."""
    spec = RowsSpec(NUMBERS, (SYMBOLS - 1,) * CATEGORIES, width=width, blocks=3, dropout=0.1)
    process = make_product(ProcessSettings(kind="absorbing", schedule="rectified", sigma_data=1.0), spec)
    network = TableRows(spec)
    denoiser = MixedDenoiser(network, process, EDM(1.0), spec.sizes)
    source = TableBatches(data, process, 0, 0.5, 0.1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    first, times = source.at(0, batch), torch.linspace(0.01, 1, batch)
    clean, symbols = process.unpack(first.x0)
    clean, position = clean.float(), 0

    def descend(loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def whole() -> None:
        nonlocal position
        position += batch
        descend(table_objective(denoiser, source.at(position, batch)).mean())

    def bare() -> None:
        output, logits = network(clean, symbols, times, known=first.known)
        descend((output - clean).square().mean() + F.cross_entropy(logits.flatten(0, 1), symbols.flatten()))

    return in_turn(whole, bare, rounds)


def main() -> None:
    """Prints and writes the table."""
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(options.threads)
    page = Page("product", "What a product process adds to a training step", quick=options.quick)
    rows = []
    for width, layers, batch in ((512, 3, 256), (512, 3, 512), (768, 4, 512)):
        found, spent = ratios(width, layers, batch, 3 if options.quick else 40)
        low, middle, high = quartiles(found)
        bare = quartiles(spent)[1] * 1e3
        rows.append(
            [f"{layers} layers of {width}, batch {batch}", f"{bare:.0f}", f"{middle:.3f}", f"{low:.3f} to {high:.3f}"]
        )
    page.say(f"25 numbers and 25 categories; floor {FLOOR:.2f} at batch 512.\n")
    page.say(table(["network", "bare step, ms", "step / bare", "quartiles"], rows))
    page.say("\nA step of the recipe `table`, 3 blocks:\n")
    rows, data = [], rows_of_words(2000)
    for width, batch in ((256, 256), (256, 512), (512, 512)):
        found, spent = recipe_ratios(data, width, batch, 3 if options.quick else 40)
        low, middle, high = quartiles(found)
        bare = quartiles(spent)[1] * 1e3
        rows.append([f"width {width}, batch {batch}", f"{bare:.0f}", f"{middle:.3f}", f"{low:.3f} to {high:.3f}"])
    page.say(table(["network", "bare step, ms", "step / bare", "quartiles"], rows))
    page.end()


if __name__ == "__main__":
    main()
