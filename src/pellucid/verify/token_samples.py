"""Solvers of symbols with exact denoisers: their samples follow the exact law, or what is said of them where they do
not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from scipy import stats
from torch import Tensor

from ..foundations.rng import Stream
from ..processes.categorical import Categorical, absorbing, uniform
from ..processes.survival import SURVIVALS, even_times
from ..restorers.infill import Infill
from ..solvers import TOKEN_SOLVERS, Confidence, Solver, sample
from ..tokens.oracles import TableOracle
from .outcome import Outcome, below
from .tokens import law_of

_COUNT = 2000
_STEPS = 48
_LENGTH = 3
_LEAST_P = 1e-4  # a sound solver fails one check in 10,000
_WHOLE = ("first-hitting",)  # exact whatever the steps: one will do
_MASKED_ONLY = ("first-hitting", "cached", "remasking", "confidence")


class Counted:
    """A denoiser that counts the items it is asked about."""

    def __init__(self, denoiser: TableOracle) -> None:
        self.denoiser, self.process = denoiser, denoiser.process
        self.seen = 0

    def __call__(self, x: Tensor, t: Tensor, *args: Any, **cond: Any) -> Tensor:
        self.seen += len(x)
        return self.denoiser(x, t)

    def rows(self, index: Tensor, num: int) -> Counted:
        """Itself, for any items."""
        return self


def samples(law: Any, solver: Solver, *, steps: int, count: int = _COUNT) -> Tensor:
    """Samples of a solver on a grid that restores evenly, (count, L)."""
    process = law.process
    assert isinstance(process, Categorical)
    stream = Stream.of(23, range(count))
    x = process.prior(process.draw(stream, (_LENGTH,), step=0)[0, 0])
    return sample(law, x, even_times(process.survival, steps), solver, stream=stream)


def p_value(x: Tensor, items: Tensor, weights: Tensor, *, impossible: float = 0.0) -> float:
    """Of Pearson's chi-squared test that x, (B, L), are draws of the items with these weights.

    A step of finite length can make what has no probability at all; up to the share `impossible` of all samples that
    is left out, and beyond it the test fails.
    """
    counts = (x[:, None] == items).all(-1).double().sum(0)
    if len(x) - counts.sum().item() > impossible * len(x):
        return 0.0
    expected = weights / weights.sum() * counts.sum()
    statistic = ((counts - expected).square() / expected).sum().item()
    return float(stats.chi2.sf(statistic, len(items) - 1))


def fits(name: str, x: Tensor, items: Tensor, weights: Tensor, *, impossible: float = 0.0) -> Outcome:
    """The outcome of `p_value`."""
    p = p_value(x, items, weights, impossible=impossible)
    reason = "Pearson's chi-squared test: a sound solver fails one in 10,000"
    return Outcome(name, f"p of at least {_LEAST_P:g}", f"p = {p:.3g}", "none", reason, p >= _LEAST_P)


def exact_laws() -> Iterator[Outcome]:
    """Samples of each solver against the exact law."""
    for kind, process in (("mask", absorbing(4)), ("uniform", uniform(3, SURVIVALS["cosine"]()))):
        law = law_of(process, 3, _LENGTH)
        for name, make in TOKEN_SOLVERS.items():
            if name == "confidence" or (process.mask is None and name in _MASKED_ONLY):
                continue
            steps = 1 if name in _WHOLE else _STEPS
            text = f"{kind}, {name}, {steps} steps: samples against the exact law"
            yield fits(text, samples(law, make(), steps=steps), law.items, law.weights, impossible=3 / _STEPS)


def one_at_a_time() -> Iterator[Outcome]:
    """Confidence: biased where it ranks what it has drawn; exact where the rank depends on what is known alone."""
    law = law_of(absorbing(4), 3, _LENGTH)
    text = "mask, confidence by law, a step for each place: samples against the exact law"
    yield fits(text, samples(law, Confidence(by_law=True), steps=_LENGTH), law.items, law.weights)
    x = samples(law, Confidence(), steps=_LENGTH)
    left = (law.log_prob(x) == -torch.inf).double().mean().item()
    text = "mask, confidence, a step for each place: samples outside the law (biased within it)"
    yield below(text, left, 0.0, "each symbol is drawn given those before")


def calls() -> Iterator[Outcome]:
    """What caching saves, and that it changes nothing."""
    law = law_of(absorbing(4), 3, _LENGTH)
    for steps in (2, 40):
        plain, saved = Counted(law), Counted(law)
        x = samples(plain, TOKEN_SOLVERS["ancestral"](), steps=steps, count=200)
        same = samples(saved, TOKEN_SOLVERS["cached"](), steps=steps, count=200)
        different = float((x != same).any(1).sum())
        yield below(f"cached, {steps} steps: samples that differ from ancestral ones", different, 0.0, "the same draws")
        most = min(steps, _LENGTH)
        yield below(f"cached, {steps} steps: calls for each item", saved.seen / 200, most, "min(steps, length)")
    hits = Counted(law)
    samples(hits, TOKEN_SOLVERS["first-hitting"](), steps=1, count=200)
    yield below("first hitting: calls for each item", hits.seen / 200, _LENGTH, "one for each place")


def infilling() -> Iterator[Outcome]:
    """Samples around a known symbol against the exact conditional law."""
    law = law_of(absorbing(4), 3, _LENGTH)
    place, symbol = 1, int(law.items[0, 1])
    given = law.items[:, place] == symbol
    known = torch.full((_COUNT, _LENGTH), 3)
    known[:, place] = symbol
    for name in ("first-hitting", "cached"):
        steps = 1 if name in _WHOLE else _STEPS
        x = samples(Infill(law, known), TOKEN_SOLVERS[name](), steps=steps)
        text = f"infilling, {name}: samples against the exact conditional law"
        yield fits(text, x, law.items[given], law.weights[given], impossible=3 / _STEPS)
