"""Processes on symbols and their bounds, on laws that are tables: everything is a sum over few items."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..foundations.rng import Stream
from ..likelihood import token_nelbo
from ..processes.categorical import Categorical, absorbing, uniform
from ..processes.d3pm import D3PM
from ..processes.matrices import MATRICES, betas_of, chain
from ..processes.survival import SURVIVALS, Linear, Survival, steady_times
from ..processes.symbols import Symbols, certain
from ..tokens.oracles import TableOracle, all_items, table_oracle
from .outcome import Outcome, below, near

F64 = torch.float64
Kernel = Callable[[float, float], Tensor]  # (s, t) -> [q(x_t = b | x_s = a)]_ab

_EXACT = "round-off of sums in float64"
_GRID = 4096  # even uniform numbers, whose draws miss a probability by few of its cells
_STEPS = 12


def law_of(process: Symbols, num_symbols: int, length: int, *, sparse: bool = True) -> TableOracle:
    """A law on sequences of the symbols that data have; some cannot be, where it is sparse, and places depend on one
    another."""
    stream = Stream.of(21, range(1))
    size = num_symbols**length
    weights, holes = stream.uniform((2, size), step=0)[0, 0, 0].double()
    weights = 0.4 + weights if sparse else 0.1 + weights.square()
    return table_oracle(process, torch.where(holes < 0.55 * sparse, 0.0, weights).reshape((num_symbols,) * length))


def categoricals(num_symbols: int, survival: Survival) -> dict[str, Categorical]:
    """A masked, a uniform and another process, for data of so many symbols."""
    tilted = torch.arange(1, num_symbols + 1, dtype=F64)
    return {
        "mask": absorbing(num_symbols + 1, survival),
        "uniform": uniform(num_symbols, survival),
        "tilted": Categorical(tuple((tilted / tilted.sum()).tolist()), survival),
    }


def chains(num_symbols: int) -> dict[str, D3PM]:
    """A chain of each kind of matrix, for data of so many symbols."""
    betas = betas_of(Linear(), _STEPS)
    place = torch.arange(num_symbols, dtype=F64)
    options = {"neighbours": {"embedding": torch.stack([place, place.square() / 4], dim=1), "count": 2}}
    return {
        name: chain(name, betas, num_symbols + (name == "absorbing"), **options.get(name, {}))
        for name in MATRICES
        if num_symbols > 2  # two have no second neighbour
    }


def rate_kernel(process: Categorical) -> Kernel:
    """A categorical process by the exponential of its rates, without its closed form."""
    law = torch.tensor(process.pi, dtype=F64)
    generator = law.expand(len(law), -1) - torch.eye(len(law), dtype=F64)

    def kernel(s: float, t: float) -> Tensor:
        alpha_s, alpha_t = (process.survival.alpha(torch.tensor(when, dtype=F64)) for when in (s, t))
        return torch.linalg.matrix_exp((alpha_s / alpha_t).log() * generator)

    return kernel


def chain_kernel(process: D3PM) -> Kernel:
    """A chain, one step after another from each symbol."""

    def kernel(s: float, t: float) -> Tensor:
        first, last = (round(when * process.num_steps) for when in (s, t))
        state = torch.eye(process.num_symbols, dtype=F64)
        for i in range(first, last):
            state = torch.stack([sum(row[a] * process.steps[i, a] for a in range(len(row))) for row in state])
        return state

    return kernel


def bridged(law: TableOracle, x: Tensor, kernel: Kernel, t: float, s: float) -> Tensor:
    """p(x_s at each place given x_t) by a sum over all x_0, (B, L, K)."""
    whole, before, after = kernel(0, t), kernel(0, s), kernel(s, t)
    weights = (law.weights / law.weights.sum()).expand(len(x), -1)
    for place in range(x.shape[1]):
        weights = weights * whole[law.items[:, place]][:, x[:, place]].T
    found = []
    for place in range(x.shape[1]):
        start, end = law.items[:, place], x[:, place]
        reached = whole[start][:, end].T
        share = torch.where(reached > 0, weights / reached, 0.0)
        found.append((share @ before[start]) * after[:, end].T)
    joint = torch.stack(found, dim=1)
    return joint / joint.sum(-1, keepdim=True)


def drawn(draw: Callable[[Tensor, Tensor], Tensor], num_symbols: int, count: int) -> Tensor:
    """The law of what is drawn from each symbol, (num_symbols, count), at an even grid of uniform numbers."""
    u = (torch.arange(_GRID, dtype=F64) + 0.5) / _GRID
    start = torch.arange(num_symbols)[:, None].expand(-1, _GRID)
    ends = draw(start, u.expand(num_symbols, -1))
    return torch.stack([(ends == symbol).double().mean(1) for symbol in range(count)], dim=1)


def _kernels(num_symbols: int) -> dict[str, tuple[Symbols, Kernel]]:
    found: dict[str, tuple[Symbols, Kernel]] = {}
    for name, make in SURVIVALS.items():
        for kind, process in categoricals(num_symbols, make()).items():
            found[f"{kind}, {name}"] = process, rate_kernel(process)
    for name, steps in chains(num_symbols).items():
        found[f"chain of {name} matrices"] = steps, chain_kernel(steps)
    return found


def corruption() -> Iterator[Outcome]:
    """q(x_t | x_0) and q(x_t | x_s), and draws from them, against products of all steps or exponentials of rates."""
    s, t = 1 / 4, 5 / 6
    early, late = (torch.tensor(when, dtype=F64) for when in (s, t))
    gaps: dict[str, tuple[float, float]] = {}
    for num_symbols in (2, 3, 5):
        for name, (process, kernel) in _kernels(num_symbols).items():
            size = process.num_symbols
            symbols = torch.arange(size)[:, None]
            whole, after = kernel(0, t), kernel(s, t)
            gap = max(
                (process.corrupt_law(symbols, late)[:, 0] - whole).abs().max().item(),
                (process.renoise_law(symbols, early, late)[:, 0] - after).abs().max().item(),
            )
            kept = drawn(lambda x, u, p=process: p.corrupt(x, late, u), size, size)  # type: ignore[misc]
            again = drawn(lambda x, u, p=process: p.renoise(x, early, late, u), size, size)  # type: ignore[misc]
            draws = max((kept - whole).abs().max().item(), (again - after).abs().max().item())
            before = gaps.get(name, (0.0, 0.0))
            gaps[name] = max(before[0], gap), max(before[1], draws)
    for name, (gap, draws) in gaps.items():
        yield below(f"{name}: corrupting and renoising against brute force, K = 2 to 5", gap, 1e-12, _EXACT)
        yield below(f"{name}: what is drawn against its law", draws, 4 / _GRID, "cells of an even grid of draws")


def bridges() -> Iterator[Outcome]:
    """The bridge averaged over the exact denoiser, against a sum over all x_0, for laws of all sizes."""
    t, s = 3 / 4, 1 / 3
    late, early = (torch.tensor(when, dtype=F64) for when in (t, s))
    gaps: dict[str, float] = {}
    for num_symbols, length in ((2, 6), (3, 4), (4, 3), (5, 2), (5, 6)):
        for name, (process, kernel) in _kernels(num_symbols).items():
            if num_symbols**length > 1000 and ", " in name and "linear" not in name:
                continue  # the largest law takes its time: one schedule will do
            law = law_of(process, num_symbols, length)
            picks = Stream.of(22, range(60)).uniform((length + 1,), step=0)[0, 0].double()
            x = process.corrupt(law.sample(picks[:, 0]), late, picks[:, 1:])
            found = process.bridge_law(x, law(x, late), late, early)
            gap = (found - bridged(law, x, kernel, t, s)).abs().max().item()
            gaps[name] = max(gaps.get(name, 0.0), gap)
    for name, gap in gaps.items():
        text = f"{name}: the bridge of the exact denoiser against brute force, K = 2 to 5, L = 2 to 6"
        yield below(text, gap, 1e-10, _EXACT)


def expected_bound(law: TableOracle, *, steps: int | None = None, nodes: int = 48) -> float:
    """The mean over the law of the bound in nats, a sum over all x_0, x_t and steps: quadrature in continuous time."""
    process = law.process
    states = all_items(process.num_symbols, law.items.shape[1])
    count = len(states)
    x0 = law.items.repeat_interleave(count, dim=0)
    x = states.repeat(len(law.items), 1)
    weights = (law.weights / law.weights.sum()).repeat_interleave(count)
    total = 0.0
    for t, s, share in _measured_at(process, steps, nodes):
        reach = process.corrupt_law(x0, t).gather(-1, x[..., None])[..., 0].prod(1) * weights
        seen = reach > 0
        logits = law(x[seen], t)
        if s is None:
            losses = process.integrand(logits, x0[seen], x[seen], t)
        else:
            losses = process.step_divergence(logits, x0[seen], x[seen], t, s)
        total += share * (reach[seen] * losses.sum(1)).sum().item()
    prior = process.prior_kl(law.items) * law.weights / law.weights.sum()
    return total + prior.sum().item()


def _measured_at(process: Symbols, steps: int | None, nodes: int) -> Iterator[tuple[Tensor, Tensor | None, float]]:
    if steps is not None:
        for i in range(1, steps + 1):
            yield torch.tensor(i / steps, dtype=F64), torch.tensor((i - 1) / steps, dtype=F64), 1.0
        return
    assert isinstance(process, Categorical)
    # Gauss's rule on (0, 1), by the eigenvalues of its Jacobi matrix (Golub and Welsch, 1969).
    k = torch.arange(1, nodes, dtype=F64)
    beside = k / (4 * k.square() - 1).sqrt()
    values, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    for node, weight in zip((1 + values) / 2, vectors[0].square(), strict=True):
        t, slope = steady_times(process.survival, node)
        yield t, None, (weight * slope).item()


def bounds() -> Iterator[Outcome]:
    """The bound of the exact denoiser is the entropy in continuous time, and above it in steps."""
    count = 4000
    u = (torch.arange(count, dtype=F64) + 0.5) / count
    for i, name in enumerate(("linear", "cosine", "geometric")):
        law = law_of(absorbing(4, SURVIVALS[name]()), 3, 4)
        found = token_nelbo(law, law.sample(u), evaluations=8, seed=i)
        error = found.standard_error.square().sum().sqrt().item() / count
        mean = found.value.mean().item()
        reason = "4 standard errors of its times and masks, and 1e-3 for a finite set of items"
        yield near(f"mask, {name}: the bound against the entropy, nats", mean, law.entropy(), 4 * error + 1e-3, reason)
    for kind in ("mask", "uniform", "tilted"):
        for name in ("linear", "cosine", "geometric"):
            law = law_of(categoricals(3, SURVIVALS[name]())[kind], 3, 2)
            text = f"{kind}, {name}: the bound summed over all items and states against the entropy, nats"
            yield near(text, expected_bound(law), law.entropy(), 1e-5, "quadrature in time, near its ends")
    gaps = {}
    for steps in (16, 32, 64):
        law = law_of(absorbing(4), 3, 2)
        gaps[steps] = expected_bound(law, steps=steps) - law.entropy()
    text = "mask, 64 steps: the bound less the entropy, over that of 32"
    yield near(text, gaps[64] / gaps[32], 0.5, 0.03, "the next term, of order 1/steps")
    yield Outcome(
        "mask, 16 steps: the bound less the entropy, nats",
        "above 0",
        f"{gaps[16]:.4f}",
        "none",
        "a step restores places independently",
        0 < gaps[16] < math.inf,
    )
    for name, process in chains(4).items():
        # One place: a step loses nothing, and the bound lacks the entropy only by how far the end is from the prior.
        law = law_of(process, 4, 1, sparse=False)
        weights = law.weights / law.weights.sum()
        end = (weights[:, None] * process.products[-1][law.items[:, 0]]).sum(0)
        left = (torch.xlogy(end, end) - torch.xlogy(end, process.prior_law())).sum().item()
        observed = expected_bound(law, steps=process.num_steps)
        text = f"chain of {name} matrices, one place: the bound against entropy and prior, nats"
        yield near(text, observed, law.entropy() + left, 1e-9, _EXACT)
    sure = certain(torch.tensor([[1, 2]]), 4)
    nothing = absorbing(4).cross_entropy(sure, torch.tensor([[1, 2]])).abs().max().item()
    yield below("mask: what is known costs nothing, nats", nothing, 0.0, "the logarithm of 1")
