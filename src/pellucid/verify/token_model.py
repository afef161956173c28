r"""The checks that a trained model of symbols can be put to, on its own held-out data.

An exact denoiser states its own surprise: at every noise level, over the places that noise has changed or hidden,

    E[-log p(x_0 given x_t)] = E[H(p(. given x_t))],                                                              (1)

because x_0 is a draw from p. Held-out items say whether the statement is true: above 1, their ratio tells of a model
that is surer than it may be, so that its samples are too uniform and its bound is loose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from scipy.stats import chi2
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.rng import Stream
from ..processes.d3pm import D3PM
from ..processes.symbols import Symbols, certain, symbols
from .outcome import Outcome, below, near

KEPT = (0.9, 0.7, 0.5, 0.3, 0.1)  # shares of the symbols that noise has not touched
_FINE, _FEW = 64, 32  # steps of a grid, and items, that times are found on
_CHANCE = 1e-3  # of a check that fails on a model that is right


@dataclass(frozen=True)
class Surprise:
    """Equation (1) where noise has left a share of the symbols.

    Attributes:
        kept: that share, or the nearest that a grid of the process's times comes to.
        real: nats per hidden place of held-out items.
        stated: the entropy that the denoiser states of them.
        ratio: real/stated.
        error: the ratio's standard error.
    """

    kept: float
    real: float
    stated: float
    ratio: float
    error: float


@torch.no_grad()
def surprises(denoiser: Denoiser, x0: Tensor, *, seed: int = 0, **cond: Any) -> list[Surprise]:
    """Equation (1) at the levels `KEPT`.

    Args:
        denoiser: of a process on symbols.
        x0: held-out items, int64 (B, *).
        seed: of the noise.
        cond: conditions, passed to the denoiser.
    """
    process = symbols(denoiser.process, "the surprise of symbols")
    stream = Stream(seed, torch.arange(len(x0), device=x0.device))
    found = []
    for i, kept in enumerate(KEPT):
        t = _time(process, x0, kept)
        x = process.corrupt(x0, t, process.draw(stream, tuple(x0.shape[1:]), step=i)[0, 0])
        log_p = denoiser(x, t, **cond).double().log_softmax(-1)
        # Of a process without a mask nothing shows which symbols are noise: all places count.
        counted = torch.ones_like(x0, dtype=torch.bool) if process.mask is None else x == process.mask
        surprise = -log_p.gather(-1, x0[..., None])[..., 0]
        entropy = -(log_p.exp() * log_p.clamp_min(-1e4)).sum(-1)
        real, stated = (torch.where(counted, each, 0.0).flatten(1).sum(1) for each in (surprise, entropy))
        ratio = (real.sum() / stated.sum()).item()
        spread = (real - ratio * stated).std() * math.sqrt(len(x0)) / stated.sum()
        places = counted.sum()
        found.append(Surprise(kept, (real.sum() / places).item(), (stated.sum() / places).item(), ratio, spread.item()))
    return found


def calibrated(denoiser: Denoiser, x0: Tensor, **cond: Any) -> Iterator[Outcome]:
    """Whether real and stated surprise agree within a quarter at every noise level."""
    for level in surprises(denoiser, x0, **cond):
        yield Outcome(
            f"denoiser with {level.kept:.0%} of the symbols left: real over stated surprise",
            "1",
            f"{level.ratio:.3f} +- {level.error:.3f} ({level.real / math.log(2):.3f} bits a place)",
            "0.25 and two standard errors",
            "a trained network is no exact posterior; beyond a quarter it is surer, or less sure, than it may be",
            abs(level.ratio - 1) <= 0.25 + 2 * level.error,
        )


def end_of_noise(process: Symbols, x0: Tensor) -> Iterator[Outcome]:
    """Whether noise ends at the prior, on these data."""
    bits = process.prior_divergence(x0).double().mean().item() / math.log(2)
    yield below("q(x_1 | x_0) against the prior, bits a place", bits, 0.01, "more would be visible in bounds")


def markov(process: Symbols, x0: Tensor, *, seed: int = 0) -> Iterator[Outcome]:
    """Noise in two steps is noise in one, and the way back through the bridge gives the forward law: by the share of
    symbols that are as they were."""
    stream = Stream(seed, torch.arange(len(x0), device=x0.device))
    one, two, three = (process.draw(stream, tuple(x0.shape[1:]), step=i)[0, 0] for i in range(3))
    s, t = (_time(process, x0, kept) for kept in (0.7, 0.3))
    late = process.renoise(process.corrupt(x0, s, one), s, t, two)
    back = process.bridge(late, certain(x0, process.num_symbols), t, s, three)
    for name, x, when in (("forward in two steps", late, t), ("back through the bridge", back, s)):
        same = process.corrupt_law(x0, when).double().gather(-1, x0[..., None])
        expected, places = same.mean().item(), x0.numel()
        limit = 4 * math.sqrt(max((same * (1 - same)).mean().item(), 1 / places) / places)
        observed = (x == x0).double().mean().item()
        yield near(f"Markov, {name}: share of symbols as they were", observed, expected, limit, "4 standard errors")


def same_law(draw: Callable[[str], Tensor], exact: str, others: tuple[str, ...], symbols: int) -> Iterator[Outcome]:
    r"""Whether samplers that have the same limit make symbols equally often.

    With c_i the counts of the K symbols in sample i and d the difference of their means, d^T Cov(d)^+ d is chi-squared
    with the rank of Cov(d) as its degrees of freedom, if the laws are equal (Hotelling, 1931, for large samples).

    Args:
        draw: samples, int64 (N, *), by a solver's name.
        exact: the solver that others are compared with.
        others: their names.
        symbols: K.
    """
    reference = _counts(draw(exact), symbols)
    for name in others:
        counts = _counts(draw(name), symbols)
        # Symbols that are all but absent would make the covariance of a few counts: they are one group.
        rare = (reference + counts).sum(0) < 0.02 * (reference + counts).sum()
        grouped = [torch.cat([each[:, ~rare], each[:, rare].sum(1, keepdim=True)], 1) for each in (reference, counts)]
        gap = grouped[0].mean(0) - grouped[1].mean(0)
        covariance = sum(torch.cov(each.T) / len(each) for each in grouped)
        assert isinstance(covariance, Tensor)
        values, vectors = torch.linalg.eigh(covariance)
        real = values > 1e-9 * values.max()
        statistic = ((vectors.T @ gap)[real].square() / values[real]).sum().item()
        limit = float(chi2.ppf(1 - _CHANCE, int(real.sum())))
        yield below(
            f"{name} against {exact}: chi-squared of the symbols' counts",
            statistic,
            limit,
            f"{int(real.sum())} degrees of freedom; one in {1 / _CHANCE:g} of equal laws is farther apart",
        )


def _time(process: Symbols, x0: Tensor, kept: float) -> Tensor:
    """The time, on a grid that the process has, at which so large a share of the symbols has not been touched: those
    that are as they were, beyond what are so at the end by chance."""
    grid = process.grid(process.num_steps if isinstance(process, D3PM) else _FINE)
    shares = torch.stack([process.corrupt_law(x0[:_FEW], t).gather(-1, x0[:_FEW, ..., None]).mean() for t in grid])
    untouched = (shares - shares[0]) / (1 - shares[0])
    return grid[(untouched - kept).abs().argmin()].to(x0.device)


def _counts(x: Tensor, symbols: int) -> Tensor:
    return torch.nn.functional.one_hot(x.flatten(1), symbols).sum(1).double()
