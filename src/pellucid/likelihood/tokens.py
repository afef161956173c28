r"""How probable a model of symbols thinks items are: the bound on -log p(x_0), a probability and not a density.

    -log p(x_0) <= KL(q(x_1 | x_0) to the prior) + integral over t of E[integrand]                                 (1)

with the process's integrand (`Symbols.integrand`), or with N steps in place of the integral

    N E[KL(q(x_s | x_t, x_0) to p(x_s | x_t))],   t = i/N for a uniform step i,   s = t - 1/N.                     (2)

Times are stratified for each item; in continuous time they are `Symbols.times`, under which the integrand's variance is
finite. Two neighbouring strata give the error bar: the squared difference of two estimates bounds the sum of their
variances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.measured import Measured
from ..foundations.rng import Stream, subseed
from ..processes.d3pm import D3PM
from ..processes.symbols import Symbols, symbols
from .checks import check_count

_QUANTILE = 1.959963984540054  # of the normal law, for 95 %


@dataclass(frozen=True)
class TokenBound:
    """The bound on -log p(x_0) of items of symbols, in nats, (B,) each, float64.

    Attributes:
        prior: the divergence of the process's end from its prior; 0 where it ends there exactly.
        diffusion: the integral (1), or the sum (2).
        standard_error: of the Monte Carlo estimate of `diffusion`.
        places: how many symbols of each item were counted.
        evaluations: calls of the denoiser, for each item.
    """

    prior: Tensor
    diffusion: Tensor
    standard_error: Tensor
    places: Tensor
    evaluations: int

    @property
    def value(self) -> Tensor:
        """The upper bound on -log p(x_0)."""
        return self.prior + self.diffusion

    def nats(self, name: str = "nelbo") -> Measured:
        """The mean over items, in nats for an item, with the error bar of items and Monte Carlo together."""
        return _mean(name, self.value, torch.ones_like(self.value), "nats")

    def bits(self, lengths: Tensor | None = None, name: str = "bits_per_symbol") -> Measured:
        """All bits over all symbols, with its error bar.

        Args:
            lengths: the symbols to share the bits among, (B,), where they are not the places: the characters of a
                text without its end and its padding.
            name: of the number.
        """
        counts = self.places if lengths is None else lengths.to(self.value)
        if not bool((counts >= 0).all()) or not float(counts.sum()) > 0:
            raise UserError(f"lengths are numbers of symbols, not all 0; got {counts.tolist()[:5]}")
        return _mean(name, self.value / math.log(2), counts, "bits")


def _mean(name: str, values: Tensor, counts: Tensor, unit: str) -> Measured:
    """The ratio of two sums, and its error to first order: that of the mean of value - ratio count."""
    ratio = (values.sum() / counts.sum()).item()
    if len(values) < 2:
        return Measured(name, ratio, count=len(values), unit=unit)
    spread = (values - ratio * counts).std().item() * math.sqrt(len(values)) / counts.sum().item()
    return Measured(name, ratio, ratio - _QUANTILE * spread, ratio + _QUANTILE * spread, len(values), unit)


def token_nelbo(
    denoiser: Denoiser,
    x0: Tensor,
    *,
    evaluations: int = 64,
    steps: int | None = None,
    real: Tensor | None = None,
    seed: int = 0,
    ids: Tensor | None = None,
    **cond: Any,
) -> TokenBound:
    """The bound on -log p(x_0) in nats for each item.

    Args:
        denoiser: logits of p(x_0 given x_t), with a process on symbols.
        x0: symbols, int64 (B, *).
        evaluations: times drawn for each item, even.
        steps: N of equation (2), for a sampler of so many even steps; continuous time if None, and the chain's own
            steps where the process is a chain.
        real: which places hold symbols and not padding, bool (B, *); all if None.
        seed: of times and noise.
        ids: the items' identities, (B,); 0 .. B - 1 if absent.
        cond: conditions, passed to the denoiser.

    Raises:
        UserError: a process on numbers, symbols that data cannot have, or numbers that cannot be used.
    """
    process = symbols(denoiser.process, "the bound on a probability")
    check_symbols(process, x0)
    check_count("evaluations", evaluations, 2)
    evaluations += evaluations % 2
    if steps is not None:
        check_count("steps", steps, 1)
        if isinstance(process, D3PM):
            raise UserError(f"this process is a chain of {process.num_steps} steps already: leave steps out")
    counted = torch.ones_like(x0, dtype=torch.bool) if real is None else real
    if counted.shape != x0.shape:
        raise UserError(f"real says of each place whether it counts, {tuple(x0.shape)}; got {tuple(counted.shape)}")
    ids = torch.arange(len(x0), device=x0.device) if ids is None else ids.to(x0.device, torch.int64)
    stream = Stream(subseed(seed, "tokens"), ids)
    total = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
    variance = torch.zeros_like(total)
    with torch.no_grad():
        prior = (process.prior_divergence(x0) * counted).flatten(1).sum(1)
        for k in range(0, evaluations, 2):
            pair = []
            for j in (k, k + 1):
                u = (j + stream.fine_uniform((), step=2 * j)[0, 0]) / evaluations
                noise = process.draw(stream, x0.shape[1:], step=2 * j + 1)[0, 0]
                losses = _at(denoiser, process, x0, u, noise, steps, cond)
                pair.append(torch.where(counted, losses, 0.0).flatten(1).sum(1).double())
            total += (pair[0] + pair[1]) / evaluations
            variance += (pair[0] - pair[1]).square() / evaluations**2
    places = counted.flatten(1).sum(1).double()
    return TokenBound(prior, total, variance.sqrt(), places, evaluations)


def _at(
    denoiser: Denoiser,
    process: Symbols,
    x0: Tensor,
    u: Tensor,
    noise: Tensor,
    steps: int | None,
    cond: dict[str, Any],
) -> Tensor:
    """An estimate of the integral or the sum from one uniform number for each item, place by place, (B, *)."""
    if steps is not None:
        upper = (u * steps).floor() + 1
        t = upper / steps
        x = process.corrupt(x0, t, noise)
        return steps * process.step_divergence(denoiser(x, t, **cond), x0, x, t, (upper - 1) / steps)
    t, slope = process.times(u)
    x = process.corrupt(x0, t, noise)
    losses = process.integrand(denoiser(x, t, **cond), x0, x, t)
    return slope.reshape(-1, *(1,) * (x0.ndim - 1)) * losses


def check_symbols(process: Symbols, x0: Tensor) -> None:
    """Refuses items that are no symbols of data.

    Raises:
        UserError: no items, numbers that are not whole, symbols outside the alphabet, or the mask.
    """
    if x0.ndim < 2 or not x0.numel():
        raise UserError(f"items of symbols have the shape (B, L) with at least one place, got {tuple(x0.shape)}")
    if x0.dtype != torch.int64:
        raise UserError(f"symbols are whole numbers (int64), got {x0.dtype}: encode the data as the model's were")
    low, high = int(x0.min()), int(x0.max())
    if low < 0 or high >= process.num_symbols:
        raise UserError(f"symbols run from 0 to {process.num_symbols - 1}, got {low} to {high}")
    if process.mask is not None and bool((x0 == process.mask).any()):
        raise UserError(f"the data hold the mask (symbol {process.mask}), which no item can have")
