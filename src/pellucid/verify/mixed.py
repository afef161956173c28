"""A product of numbers and categories, on a mixture whose joint denoiser is known exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from scipy import stats
from torch import Tensor

from ..foundations.rng import Stream
from ..mixed.oracles import MixedOracle
from ..oracles import MixtureOracle
from ..processes.categorical import absorbing
from ..processes.gaussian import Gaussian
from ..processes.product import Field, Product
from ..processes.schedules import SCHEDULES
from ..processes.symbols import certain
from ..solvers import SOLVERS, TOKEN_SOLVERS, ProductSolver, sample
from ..tokens.oracles import TableOracle, all_items
from .outcome import Outcome, below, near
from .token_samples import fits

F64 = torch.float64
_COUNT = 2500
_STEPS = 64
_SYMBOLS = 3
_PAIRS = (("dpmpp-2m", "ancestral"), ("er-sde", "tau-leaping"), ("dpmpp-2m-sde", "remasking"))


def joint_law(schedule: str = "vp") -> MixedOracle:
    """Three components on two numbers and two categories: every pair of columns depends on one another."""
    numbers = Field("numbers", Gaussian(SCHEDULES[schedule]()), 2)
    process = Product((numbers, Field("categories", absorbing(_SYMBOLS + 1), 2)))
    means = torch.tensor([[-1.3, 0.6], [0.2, -1.2], [1.1, 0.7]], dtype=F64)
    variances = torch.tensor([[0.1, 0.3], [0.4, 0.05], [0.2, 0.15]], dtype=F64)
    first = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.75, 0.15], [0.2, 0.1, 0.7]], dtype=F64)
    tables = torch.stack([first, first[:, [2, 0, 1]]], dim=1)
    return MixedOracle(process, means, variances, tables, torch.tensor([0.25, 0.35, 0.4], dtype=F64))


def made(law: MixedOracle, solver: ProductSolver) -> Tensor:
    """Samples, packed, (B, 4)."""
    stream = Stream.of(31, range(_COUNT))
    process = law.process
    x = process.prior(process.draw(stream, (process.columns,), step=0)[0, 0])
    return sample(law, x, torch.linspace(1, 0, _STEPS + 1, dtype=F64), solver, stream=stream)


def samples() -> Iterator[Outcome]:
    """The joint law of the categories, each number's law, and each number given each category."""
    law = joint_law()
    table = law.table()
    for numbers, symbols in _PAIRS:
        name = f"{numbers} with {symbols}"
        x, c = law.process.unpack(made(law, ProductSolver((SOLVERS[numbers](), TOKEN_SOLVERS[symbols]()))))
        yield fits(f"{name}: categories against their joint law", c, all_items(_SYMBOLS, 2), table.flatten())
        for column in range(2):
            p = float(stats.kstest(law.cdf(x[:, column], column).numpy(), "uniform").pvalue)
            reason = "Kolmogorov and Smirnov's test: a sound solver fails one in 10,000"
            text = f"{name}: number {column + 1} against its law"
            yield Outcome(text, "p of at least 0.0001", f"p = {p:.3g}", "none", reason, p >= 1e-4)
        gaps = _conditional_gaps(law, x, c)
        reason = "12 means in their standard errors; a sound solver exceeds 4.5 once in 10,000 runs"
        yield below(f"{name}: numbers given each category, largest error of a mean", gaps, 4.5, reason)


def _conditional_gaps(law: MixedOracle, x: Tensor, c: Tensor) -> float:
    """The largest error of E[number | category], in its standard error."""
    worst = 0.0
    for f in range(2):
        for symbol in range(_SYMBOLS):
            share = law.weights * law.tables[:, f, symbol]
            share = share / share.sum()
            exact = share @ law.means
            spread = (share @ (law.variances + law.means.square()) - exact.square()).sqrt()
            chosen = x[c[:, f] == symbol]
            gap = (chosen.mean(0) - exact).abs() / spread * math.sqrt(len(chosen))
            worst = max(worst, gap.max().item())
    return worst


def joint_answers() -> Iterator[Outcome]:
    """The joint denoiser against those of its parts, where a part alone is known."""
    law = joint_law()
    process = law.process
    stream = Stream.of(32, range(200))
    x0 = law.sample(
        stream.fine_uniform((), step=0)[0, 0],
        stream.normal((2,), step=1)[0, 0],
        stream.fine_uniform((2,), step=2)[0, 0],
    )
    noise = process.draw(stream, (4,), step=3)[0, 0]
    gaussian, symbols = (field.process for field in process.fields)
    assert isinstance(gaussian, Gaussian)
    # Masks tell nothing of the numbers, so the answer for these is that of the law of numbers alone.
    t = torch.tensor(0.6, dtype=F64)
    x = process.corrupt(x0, t, noise)
    x[:, 2:] = _SYMBOLS
    numbers = MixtureOracle(gaussian, law.means, law.variances, law.weights)
    gap = (process.answers(law(x, t))[0] - numbers(x[:, :2], t)).abs().max().item()
    yield below("categories all masked: numbers against the denoiser of numbers alone", gap, 1e-9, "round-off")
    flat = MixedOracle(process, law.means.mean(0).expand(3, -1), torch.ones(3, 2, dtype=F64), law.tables, law.weights)
    table = TableOracle(symbols, all_items(_SYMBOLS, 2), law.table().flatten())  # type: ignore[arg-type]
    x = process.corrupt(x0, t, noise)
    gap = (process.answers(flat(x, t))[1].exp() - table(x[:, 2:].long(), t).exp()).abs().max().item()
    yield below("numbers that tell nothing: categories against their own denoiser", gap, 1e-12, "round-off")
    x0 = x0[:1].expand(4000, -1)
    stream = Stream.of(33, range(4000))
    noise = process.draw(stream, (4,), step=0)[0, 0]
    noise[:, 2:] = noise[:, 2:] - 0.5
    mixed = (noise[:, :2].T @ noise[:, 2:] / len(noise)).abs().max().item() * math.sqrt(12 * len(noise))
    reason = "four correlations in their standard errors; 4.2 is exceeded once in 10,000 seeds"
    yield below("noise of numbers against that of categories: largest correlation", mixed, 4.2, reason)
    answer = process.pack_answers([x0[:, :2] + 0.1, certain(x0[:, 2:].long(), _SYMBOLS + 1)])
    when = torch.full((4000,), 0.3, dtype=F64)
    weight = gaussian.weighting.at(gaussian.schedule, when[:1]).item()
    observed = process.loss(answer, x0, when).mean().item()
    text = "loss of rows whose numbers are off by 0.1 and whose categories are known"
    yield near(text, observed, 0.5 * weight * 0.01, 1e-12, "round-off")
