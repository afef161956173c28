"""The lecture's three claims of forward chains, and that a chain and its SDE agree."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..processes import claims
from ..processes.gaussian import Gaussian
from ..processes.schedules import SCHEDULES, VP, Betas
from .outcome import Outcome, below, near

F64 = torch.float64
_ORDER = 0.1


def markov() -> Iterator[Outcome]:
    """Claim 1, and of claim 3 that the way back is Markov too: they are one statement of the joint law."""
    betas = torch.linspace(1e-3, 0.3, 40, dtype=F64)
    for variance in (0.25, 1.0, 4.0):
        yield below(
            f"claims 1 and 3, chain of 40 steps on data of variance {variance:g}: partial correlation of states apart",
            claims.markov_gap(betas, variance),
            1e-10,
            "zero up to the round-off of a matrix inverse",
        )
    x0 = torch.tensor([[0.7, -1.2, 0.1]], dtype=F64)
    noise = torch.eye(3, dtype=F64)
    for name in ("vp", "ve", "rectified", "sub_vp", "cosine"):
        process = Gaussian(SCHEDULES[name]())
        s, t = torch.tensor(0.3, dtype=F64), torch.tensor(0.8, dtype=F64)
        scale = process.schedule.sigma(t).item() ** 2 + 1
        gap = claims.composition_gap(process, x0, s, t, noise=noise) / scale
        yield below(f"claim 1, {name}: two steps against one, mean and covariance", gap, 1e-12, "round-off")


def forgets() -> Iterator[Outcome]:
    """Claim 2: the end of the chain is the prior, whatever the data; the divergence from the recursion of the chain."""
    chain = SCHEDULES["linear_beta"]()
    assert isinstance(chain, Betas)
    bar = math.prod(1 - beta for beta in chain.betas)
    for moment in (0.01, 1.0, 9.0):
        # KL(N(sqrt(bar) x, 1 - bar) to N(0, 1)) for one value of square `moment`.
        exact = 0.5 * (bar * moment - bar - math.log1p(-bar)) / math.log(2)
        found = Gaussian(chain).prior_bits_per_dim(moment)
        text = f"claim 2, linear betas, E[x_0^2] = {moment:g}: bits/dim left at T"
        yield near(text, found, exact, 1e-6, "round-off of a difference near zero", relative=True)
    for name in ("linear_beta", "cosine", "scaled_linear_beta", "vp", "ve", "edm", "rectified"):
        found = Gaussian(SCHEDULES[name]()).prior_bits_per_dim(1.0)
        yield below(f"claim 2, {name}: bits/dim left at the end", found, 0.01, "more would be visible in samples")


def backwards() -> Iterator[Outcome]:
    """Claim 3: the reverse-diffusion step against the exact backward transition, over the size of the step."""
    # Data of variance 4: with unit variance the step's own would be exact.
    last = {count: claims.reverse_gap(_chain(count), 4.0)[count // 2 :].abs().amax(0) for count in (400, 800)}
    for i, part in enumerate(("gain", "variance")):
        order = math.log2(last[400][i] / last[800][i])
        text = f"claim 3, the reverse step's {part}: order of its error over the step's size"
        yield near(text, order, 1.0, _ORDER, "the next term still shows at 800 steps")


def agrees_with_its_sde() -> Iterator[Outcome]:
    """The chain of T steps against its SDE: the gap falls like 1/T."""

    def rate(t: Tensor) -> Tensor:
        return 0.1 + 19.9 * t

    gaps = {count: claims.discretisation_gap(rate, VP(), count) for count in (500, 1000, 2000)}
    for coarse, fine in ((500, 1000), (1000, 2000)):
        order = math.log2(gaps[coarse] / gaps[fine])
        reason = "the next term, about beta/T = 0.04 at 500 steps"
        yield near(f"chain against its SDE, {coarse} to {fine} steps: order", order, 1.0, _ORDER, reason)


def _chain(count: int) -> Tensor:
    t = torch.arange(1, count + 1, dtype=F64) / count
    return (0.1 + 9.9 * t) / count
