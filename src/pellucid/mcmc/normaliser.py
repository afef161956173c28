r"""log Z of an unnormalised law, with an error bar: by annealed importance sampling and by thermodynamic integration.

Along a ladder E_0 ... E_K whose first rung is normalised, chains climb by moves that keep each rung's law. Neal's
weights ("Annealed Importance Sampling", 2001, eq. 6) need no equilibrium,

    Z_k = E w_k,   log w_k = sum_{j < k} E_j(x_j) - E_{j+1}(x_j),                                                  (1)

and on a geometric ladder, with U the last rung's energy less the first's (Gelman and Meng, "Simulating Normalizing
Constants", 1998, eq. 9),

    log Z = -integral_0^1 E_b[U] db,   d/db E_b[U] = -Var_b[U]                                                     (2)

by the trapezoidal rule with its end correction from the second of (2) (Friel, Hurn and Wyse, "Improving Power Posterior
Estimation of Statistical Evidence", 2014). Chains are independent of one another, so errors and bias are those of the
jackknife over chains (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, eq. 11.5 and 10.29).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.special import stdtrit
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from .base import Kernel
from .hamiltonian import Hamiltonian
from .ladder import Ladder, climb, rung_lengths


@dataclass(frozen=True)
class Normaliser:
    """An estimate of log Z in nats.

    Attributes:
        log_z: the estimate, its bias taken off.
        error: its standard error.
        low, high: a 95 % interval, by Student's law.
        chains: how many.
        effective: (sum w)^2 / sum w^2, of the worst rung: where it is a few, the error bar is not to be trusted.
        acceptance: the mean probability of accepting a move, rung by rung.
    """

    log_z: float
    error: float
    low: float
    high: float
    chains: int
    effective: float
    acceptance: tuple[float, ...]


def annealed_importance(
    ladder: Ladder, *, kernel: Kernel | None = None, chains: int = 200, moves: int = 2, seed: int = 0
) -> Normaliser:
    """log Z of the last rung by equation (1).

    Args:
        ladder: from `geometric` or `noised`.
        kernel: the move; Hamiltonian if absent.
        chains: independent ones, at least 10.
        moves: on each rung.
        seed: any integer.

    Raises:
        UserError: too few chains, or moves that do not keep a law.
    """
    return annealed_along(ladder, kernel=kernel, chains=chains, moves=moves, seed=seed)[-1]


def annealed_along(
    ladder: Ladder, *, kernel: Kernel | None = None, chains: int = 200, moves: int = 2, seed: int = 0
) -> list[Normaliser]:
    """`annealed_importance` of every rung above the base, by one climb."""
    log_w, acceptance = log_weights(ladder, kernel=kernel, chains=chains, moves=moves, seed=seed)
    return [from_weights(each, acceptance[: k + 1]) for k, each in enumerate(log_w)]


@torch.no_grad()
def log_weights(
    ladder: Ladder, *, kernel: Kernel | None = None, chains: int = 200, moves: int = 2, seed: int = 0
) -> tuple[Tensor, tuple[float, ...]]:
    """log w_k of (1) for each rung above the base and each chain, (K, B), and the rungs' acceptance."""
    kernel, stream, lengths = _ready(ladder, kernel, chains, seed)
    x = ladder.base.draws(stream)
    before, rises, acceptance = ladder.base.energy(x), [], []
    for start, made in climb(ladder, x, kernel, stream=stream, moves=moves, lengths=lengths):
        assert start.energy is not None
        assert made.place.energy is not None
        rises.append((before - start.energy).double())
        before = made.place.energy
        acceptance.append(made.acceptance.mean().item())
    return torch.stack(rises).cumsum(0), tuple(acceptance)


def from_weights(log_w: Tensor, acceptance: tuple[float, ...] = ()) -> Normaliser:
    """log of the mean weight of independent chains, (B,), with its error."""
    count, top = len(log_w), log_w.max()
    w = (log_w - top).exp()
    whole = w.mean().log() + top
    rest = ((w.sum() - w) / (count - 1)).clamp_min(1e-300).log() + top
    return _jackknife(whole, rest, float(w.sum().square() / w.square().sum()), acceptance)


def thermodynamic(
    ladder: Ladder, *, kernel: Kernel | None = None, chains: int = 200, moves: int = 4, seed: int = 0
) -> Normaliser:
    """log Z by equation (2), over the moves on each rung.

    Chains that climb lag behind their rung; the weights (1) take that out, as from any mean on a rung (Neal 2001).

    Args:
        ladder: from `geometric`.
        kernel, chains, moves, seed: as for `annealed_importance`.

    Raises:
        UserError: a ladder that is not geometric, or numbers out of range.
    """
    climbed = rung_moments(ladder, kernel=kernel, chains=chains, moves=moves, seed=seed)
    return integrated(ladder.betas, climbed)


@dataclass(frozen=True)
class RungMoments:
    """What chains saw on the rungs of a geometric ladder, the base included.

    Attributes:
        u, square: each chain's means of U and of its square, (K + 1, B).
        log_w: its weights (1), (K + 1, B).
        acceptance: of each rung above the base.
    """

    u: Tensor
    square: Tensor
    log_w: Tensor
    acceptance: tuple[float, ...]

    def parts(self, count: int) -> list[RungMoments]:
        """The chains in so many groups: repeats of a smaller experiment."""
        rows = zip(*(each.chunk(count, 1) for each in (self.u, self.square, self.log_w)), strict=True)
        return [RungMoments(u, square, log_w, self.acceptance) for u, square, log_w in rows]


@torch.no_grad()
def rung_moments(
    ladder: Ladder, *, kernel: Kernel | None = None, chains: int = 200, moves: int = 4, seed: int = 0
) -> RungMoments:
    """Climbs a geometric ladder and keeps what (2) needs; arguments and errors are those of `thermodynamic`."""
    if not ladder.betas:
        raise UserError("thermodynamic integration is along a geometric ladder: use mcmc.geometric")
    kernel, stream, lengths = _ready(ladder, kernel, chains, seed)
    x = ladder.base.draws(stream)
    first, last = ladder.rungs[0], ladder.rungs[-1]

    def seen(draws: Tensor) -> tuple[Tensor, Tensor]:
        u = torch.stack([last(x) - first(x) for x in draws]).double()
        return u.mean(0), u.square().mean(0)

    rows, acceptance = [seen(x[None])], []
    before, log_w = first(x), [torch.zeros(len(x), dtype=torch.float64)]
    for start, made in climb(ladder, x, kernel, stream=stream, moves=moves, lengths=lengths):
        assert start.energy is not None
        assert made.place.energy is not None
        log_w.append(log_w[-1] + (before - start.energy).double())
        before = made.place.energy
        rows.append(seen(made.draws))
        acceptance.append(made.acceptance.mean().item())
    u, square = (torch.stack(column) for column in zip(*rows, strict=True))
    return RungMoments(u, square, torch.stack(log_w), tuple(acceptance))


def integrated(betas: tuple[float, ...], climbed: RungMoments) -> Normaliser:
    """Equation (2) from what independent chains saw."""
    step = torch.tensor(betas, dtype=torch.float64).diff()
    w = (climbed.log_w - climbed.log_w.max(1, keepdim=True).values).exp()

    def integral(total: Tensor, u: Tensor, squares: Tensor) -> Tensor:
        """From sums over chains of the weights, and of U and U^2 times them, (K + 1, *)."""
        means = u / total
        variance = squares / total - means.square()
        wide = step.reshape(-1, *(1,) * (means.ndim - 1))
        parts = wide / 2 * (means[1:] + means[:-1]) + wide.square() / 12 * variance.diff(dim=0)
        return -parts.sum(0)

    terms = (w, w * climbed.u, w * climbed.square)
    whole = integral(*(each.sum(1) for each in terms))
    rest = integral(*(each.sum(1, keepdim=True) - each for each in terms))
    effective = float((w.sum(1).square() / w.square().sum(1)).min())
    return _jackknife(whole, rest, effective, climbed.acceptance)


def _ready(ladder: Ladder, kernel: Kernel | None, chains: int, seed: int) -> tuple[Kernel, Stream, tuple[float, ...]]:
    if chains < 10:
        raise UserError(f"an error bar over chains needs at least 10 of them, got {chains}")
    kernel = Hamiltonian(leaps=4) if kernel is None else kernel
    pilot = Stream.of(subseed(seed, "pilot"), range(min(chains, 64)))
    return kernel, Stream.of(seed, range(chains)), rung_lengths(ladder, kernel, stream=pilot)


def _jackknife(whole: Tensor, rest: Tensor, effective: float, acceptance: tuple[float, ...]) -> Normaliser:
    """The estimate from all chains, and those from all but one of them, (B,)."""
    count = len(rest)
    value = float(count * whole - (count - 1) * rest.mean())
    error = math.sqrt((count - 1) / count * float((rest - rest.mean()).square().sum()))
    half = float(stdtrit(count - 1, 0.975)) * error
    return Normaliser(value, error, value - half, value + half, count, effective, acceptance)
