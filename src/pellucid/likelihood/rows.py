r"""The variational bound of a product of a Gaussian field and one of symbols, as of the rows of a table.

Given x_0 the fields are noised independently, and a reverse process moves each on its own from what the joint denoiser
says; so the divergence between the two path laws is the sum of the fields' own, each with the state of all in the
denoiser. From t = 1 to t_1, where sigma/alpha = noise_min,

    -log p(x_0) <= KL(q(x_1 | x_0) to the prior)
                   + 1/2 int E |x_0 - x0hat|^2 SNR d log SNR      over numbers (see `bound`, equation 4)
                   + int E integrand dt                           over symbols (see `Symbols.integrand`)
                   + E[-log N(x_0; x0hat, noise_min^2) - log p(x_0 | x_t1)]                                        (1)

a density for the numbers, a probability for the symbols. With the exact denoiser (1) is tight as noise_min goes to 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from ..processes.gaussian import Gaussian
from ..processes.product import Product
from ..processes.symbols import Symbols
from .checks import check_count, noise_range
from .decoders import Normal

_NOISE_MIN = 1e-3
_LAST_DRAWS = 4


@dataclass(frozen=True)
class RowBound:
    """The terms of (1), in nats, (B,) each, float64.

    Attributes:
        prior: the divergence at t = 1.
        numbers, symbols: the two integrals.
        last: the last line.
        standard_error: of the Monte Carlo estimate of all together.
        evaluations: calls of the denoiser, for each row.
    """

    prior: Tensor
    numbers: Tensor
    symbols: Tensor
    last: Tensor
    standard_error: Tensor
    evaluations: int

    @property
    def value(self) -> Tensor:
        """The upper bound on -log p(x_0)."""
        return self.prior + self.numbers + self.symbols + self.last


def row_bound(
    denoiser: Denoiser,
    x0: Tensor,
    *,
    evaluations: int = 64,
    noise_min: float = _NOISE_MIN,
    seed: int = 0,
    ids: Tensor | None = None,
    **cond: Any,
) -> RowBound:
    """The bound (1) on -log p of rows.

    Args:
        denoiser: of a product of numbers and symbols, in this order.
        x0: packed, (B, C).
        evaluations: times drawn for each row and integral, even; half of them for each.
        noise_min: sigma/alpha where the last step begins.
        seed: of times and noise.
        ids: the rows' identities, (B,); 0 .. B - 1 if absent.
        cond: conditions, passed to the denoiser.

    Raises:
        UserError: another process, or numbers that cannot be used.
    """
    process = denoiser.process
    kinds = tuple(type(field.process) for field in process.fields) if isinstance(process, Product) else ()
    if len(kinds) != 2 or not issubclass(kinds[0], Gaussian) or not issubclass(kinds[1], Symbols):
        raise UserError("this bound is of a product of a Gaussian field and a field of symbols, in this order")
    check_count("evaluations", evaluations, 4)
    count = 2 * -(-evaluations // 4)  # of each integral, in pairs
    assert isinstance(process, Product)
    gaussian, symbols = (field.process for field in process.fields)
    assert isinstance(gaussian, Gaussian)
    assert isinstance(symbols, Symbols)
    low, high = noise_range(gaussian, noise_min)
    ids = torch.arange(len(x0), device=x0.device) if ids is None else ids.to(x0.device, torch.int64)
    at = _At(denoiser, process, gaussian, symbols, x0.double(), Stream(subseed(seed, "rows"), ids), cond)
    first = gaussian.schedule.time(torch.tensor(-2 * math.log(low), dtype=torch.float64))
    with torch.no_grad():
        prior = process.prior_kl(x0)
        numbers, spread = _mean([at.numbers(k, count, math.log(low), math.log(high)) for k in range(count)])
        words, more = _mean([at.symbols(k, count, first.item()) for k in range(count)])
        last, rest = _mean([at.last(first, k, low) for k in range(_LAST_DRAWS)])
    error = (spread + more + rest).sqrt()
    return RowBound(prior, numbers, words, last, error, 2 * count + _LAST_DRAWS)


@dataclass(frozen=True)
class _At:
    """What a denoiser makes of rows at a time: one draw of each term."""

    denoiser: Denoiser
    process: Product
    gaussian: Gaussian
    symbol: Symbols
    x0: Tensor
    stream: Stream
    cond: dict[str, Any]

    def answer(self, t: Tensor, stream: Stream, draw: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The answer for numbers and for symbols at times (B,), the noised state of both, and the numbers' noise."""
        noise = self.process.draw(stream, (self.process.columns,), step=2 * draw)[0, 0]
        x = self.process.corrupt(self.x0, t, noise)
        mean, law = self.process.answers(self.denoiser(x, t, **self.cond))
        numbers, words = self.process.unpack(x)
        return mean.double(), law, numbers, words, self.process.split(noise)[0]

    def uniform(self, stream: Stream, draw: int, count: int) -> Tensor:
        """In the draw's stratum of (0, 1), (B,)."""
        return (draw + stream.fine_uniform((), step=2 * draw + 1)[0, 0]) / count

    def own(self, purpose: str) -> Stream:
        """The random numbers of one of the terms."""
        return Stream(subseed(self.stream.seed, purpose), self.stream.ids)

    def numbers(self, draw: int, count: int, low: float, high: float) -> _Draw:
        """log(sigma/alpha) is uniform: 1/2 |error|^2 SNR times twice its span."""
        stream = self.own("numbers")
        level = low + (high - low) * self.uniform(stream, draw, count)
        mean, _, _, _, z = self.answer(self.gaussian.schedule.time(-2 * level), stream, draw)
        left = (-2 * level).exp() * (self.process.unpack(self.x0)[0] - mean).square().sum(1)
        return _Draw((high - low) * left, high - low, left, z)

    def symbols(self, draw: int, count: int, first: float) -> _Draw:
        """t = t_1 + (1 - t_1) u^2, by which the variance near t_1 is bounded."""
        stream = self.own("symbols")
        u = self.uniform(stream, draw, count)
        t = first + (1 - first) * u.square()
        _, law, _, words, _ = self.answer(t, stream, draw)
        clean = self.process.unpack(self.x0)[1]
        return _Draw(2 * u * (1 - first) * self.symbol.integrand(law, clean, words, t).double().sum(1))

    def last(self, t: Tensor, draw: int, noise: float) -> _Draw:
        """The last step, from t_1 to the data."""
        times = t.to(self.x0.device).expand(len(self.x0))
        mean, law, numbers, words, z = self.answer(times, self.own("last"), draw)
        clean, symbols = self.process.unpack(self.x0)
        kept = self.symbol.step_divergence(law, symbols, words, times, torch.zeros_like(times)).sum(1)
        left = ((clean - mean) / noise).square().sum(1)
        return _Draw(Normal().nll(clean, mean, numbers, noise) + kept, Normal().slope(noise), left, z)


@dataclass(frozen=True)
class _Draw:
    """One estimate of a term, (B,), and the part of it that is slope |error|^2 SNR, with the noise of the numbers."""

    value: Tensor
    slope: float = 0.0
    left: Tensor | None = None
    z: Tensor | None = None

    def corrected(self, other: _Draw) -> Tensor:
        """The estimate less b (|z|^2 - D): the same on average for any b that does not know z. The noise leaves an
        error of about a share of itself; b is that share in the neighbour's draw, as in `bound`."""
        if self.z is None or other.z is None or other.left is None:
            return self.value
        share = (other.left / other.z.square().sum(1)).clamp_max(1.0)
        return self.value - self.slope * share * (self.z.square().sum(1) - self.z.shape[1])


def _mean(draws: list[_Draw]) -> tuple[Tensor, Tensor]:
    """The mean of estimates, and its variance by neighbouring ones."""
    total = variance = torch.zeros_like(draws[0].value)
    for k in range(0, len(draws), 2):
        f, g = draws[k].corrected(draws[k + 1]), draws[k + 1].corrected(draws[k])
        total = total + (f + g) / len(draws)
        variance = variance + (f - g).square() / len(draws) ** 2
    return total, variance
