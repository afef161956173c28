r"""Laws made of trained ones: products, mixtures and negations, each a denoiser again.

At every noise level, with p_i(x) = exp(-E_i(x, t))/Z_i(t) the noised laws of the parts,

    product    p(x) proportional to prod_i p_i(x)^w_i,   score = sum_i w_i score_i                                 (1)
    mixture    p(x) = sum_i w_i p_i(x),                  score = sum_i r_i score_i,  r_i = w_i p_i(x)/p(x)         (2)
    negation   the product with weights 1 and -w

(Du, Li and Mordatch, "Compositional Visual Generation with Energy Based Models", 2020, section 3; Liu et al.,
"Compositional Visual Generation with Composable Diffusion Models", 2022). In terms of denoisers, as alpha x_0 = x +
sigma^2 score,

    x_0 = sum_i c_i x_0^i + (1 - sum_i c_i) x/alpha,   c = w or r                                                  (3)

A mixture of noised laws is the noised mixture. A product of noised laws is not the noised product, except at no noise:
so a solver alone does not sample it, and moves at each level must put it right (Du et al., "Reduce, Reuse, Recycle",
2023, section 3; `mcmc.Corrected`). Nor does a product begin at the process's prior, but at prior^(sum w): (1) at t = 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.tensors import pad
from ..guidance.branches import filled
from ..mcmc import Normaliser, annealed_along, noised
from ..processes.gaussian import Gaussian
from .denoisers import HasEnergy, energy_of


@dataclass(frozen=True)
class Given:
    """A denoiser with its conditions filled in: numbers, or tensors that broadcast to (B, *)."""

    denoiser: Denoiser
    cond: Mapping[str, Any] = field(default_factory=dict)

    @property
    def process(self) -> Any:
        """That of the denoiser."""
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """E[x_0 given x_t and the conditions], (B, *)."""
        return self.denoiser(x, t, **cond, **filled(x, self.cond))


@dataclass(frozen=True)
class GivenEnergy(Given):
    """`Given` of a denoiser that knows its energy."""

    denoiser: HasEnergy

    def energy(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """The energy under the conditions, (B,)."""
        return self.denoiser.energy(x, t, **cond, **filled(x, self.cond))


def given(denoiser: Denoiser, **cond: Any) -> Given:
    """A denoiser with its conditions filled in, which knows its energy where the denoiser does."""
    return GivenEnergy(denoiser, cond) if isinstance(denoiser, HasEnergy) else Given(denoiser, cond)


class _Composition:
    """What products and mixtures share: parts of one process, and a finite weight for each."""

    denoisers: tuple[Denoiser, ...]
    weights: tuple[float, ...]

    def _check(self) -> None:
        process = same_process(self.denoisers)
        if len(self.weights) != len(self.denoisers) or not all(math.isfinite(w) for w in self.weights):
            raise UserError(f"{len(self.denoisers)} laws need as many finite weights, got {self.weights}")
        assert isinstance(process, Gaussian)

    @property
    def process(self) -> Gaussian:
        """That of the parts."""
        found = self.denoisers[0].process
        assert isinstance(found, Gaussian)
        return found

    def _joined(self, x: Tensor, t: Tensor, shares: Sequence[Tensor | float], cond: dict[str, Any]) -> Tensor:
        """Equation (3); each share a number or of shape (B,)."""
        alpha, _ = self.process.scales(t, x)
        rest: Tensor | float = 1.0
        total = torch.zeros_like(x)
        for share, denoiser in zip(shares, self.denoisers, strict=True):
            wide = pad(share, x) if isinstance(share, Tensor) else share
            total = total + wide * denoiser(x, t, **cond)
            rest = rest - wide
        return total + rest * x / alpha


@dataclass(frozen=True)
class Product(_Composition):
    """Equation (1): what is likely under all of its parts; a negative weight asks for what is unlikely under one.

    Attributes:
        denoisers: the parts.
        weights: w_i, whose sum is positive: at much noise all parts are one law, and no other power of it is a law.

    Raises:
        UserError: parts of different processes, weights that do not fit, or whose sum is not positive.

    >>> from pellucid import SCHEDULES, gaussian_oracle
    >>> process = Gaussian(SCHEDULES["edm"]())
    >>> parts = [gaussian_oracle(process, torch.tensor([m]), torch.tensor(1.0)) for m in (0.0, 2.0)]
    >>> product(parts)(torch.tensor([[1.0]]), torch.tensor(1e-3))  # of N(1, 1/2)
    tensor([[1.]])
    """

    denoisers: tuple[Denoiser, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        self._check()
        if not sum(self.weights) > 0:
            raise UserError(
                f"the weights {', '.join(f'{w:g}' for w in self.weights)} of a product sum to {sum(self.weights):g}, "
                "which is no law at much noise, where all its parts are alike: let them sum to more than 0"
            )

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """The denoiser (3) with c = w, (B, *)."""
        return self._joined(x, t, self.weights, cond)

    def average(self) -> Product:
        """The product to the power 1/sum w. At much noise its flow leads the product from level to level; the product's
        own, sum w times as strong, would crowd it together."""
        return Product(self.denoisers, tuple(w / sum(self.weights) for w in self.weights))

    def start(self, noise: Tensor) -> Tensor:
        """The law at t = 1 as a function of noise, (B, *): the prior to the power sum w is narrower by its root."""
        return self.process.prior(noise) / math.sqrt(sum(self.weights))


@dataclass(frozen=True)
class EnergyProduct(Product):
    """A product of denoisers that know their energies, and so its own."""

    denoisers: tuple[HasEnergy, ...]

    def energy(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """sum_i w_i E_i, (B,)."""
        parts = zip(self.weights, self.denoisers, strict=True)
        return torch.stack([weight * part.energy(x, t, **cond) for weight, part in parts]).sum(0)


def product(denoisers: Sequence[Denoiser], weights: Sequence[float] | None = None) -> Product:
    """The product of laws, equation (1), which knows its energy where all of them do.

    Args:
        denoisers: the parts.
        weights: w_i; 1 each if absent.

    Raises:
        UserError: as `Product`.
    """
    weights = (1.0,) * len(denoisers) if weights is None else tuple(weights)
    known = tuple(part for part in denoisers if isinstance(part, HasEnergy))
    return EnergyProduct(known, weights) if len(known) == len(denoisers) else Product(tuple(denoisers), weights)


@dataclass(frozen=True)
class Constants:
    """log Z(t) of an energy, linear between the noise levels where it is known.

    Attributes:
        levels: log(sigma/alpha), rising.
        log_z: in nats.
        errors: standard errors.
    """

    levels: tuple[float, ...]
    log_z: tuple[float, ...]
    errors: tuple[float, ...] = ()

    def at(self, level: Tensor) -> Tensor:
        """log Z at log(sigma/alpha), of the same shape; beyond the ends, that of the end."""
        knots, values = (torch.tensor(v, dtype=torch.float64, device=level.device) for v in (self.levels, self.log_z))
        level = level.double().clamp(knots[0], knots[-1])
        i = torch.searchsorted(knots, level).clamp(1, len(knots) - 1)
        share = (level - knots[i - 1]) / (knots[i] - knots[i - 1])
        return torch.lerp(values[i - 1], values[i], share)


@dataclass(frozen=True)
class Mixture(_Composition):
    """Equation (2): what is likely under any of its parts. It needs their energies, and how large they are.

    Attributes:
        denoisers: the parts, each with an energy.
        weights: w_i, positive; normalised here.
        constants: log Z_i(t) of each part, from `noise_constants`; None for energies that are normalised.

    Raises:
        UserError: parts of different processes or without energies, or weights that do not fit.
    """

    denoisers: tuple[HasEnergy, ...]
    weights: tuple[float, ...]
    constants: tuple[Constants, ...] | None = None

    def __post_init__(self) -> None:
        self._check()
        if not all(w > 0 for w in self.weights):
            raise UserError(f"a mixture's weights are shares: give positive ones, got {self.weights}")
        for denoiser in self.denoisers:
            energy_of(denoiser, "a mixture")
        if self.constants is not None and len(self.constants) != len(self.denoisers):
            raise UserError(f"{len(self.denoisers)} laws need as many tables of constants, got {len(self.constants)}")

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """The denoiser (3) with c = r, (B, *)."""
        shares = self._logits(x, t, cond).softmax(0).to(x.dtype)
        return self._joined(x, t, list(shares), cond)

    def energy(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """-log sum_i w_i exp(-E_i)/Z_i, (B,): normalised."""
        return -self._logits(x, t, cond).logsumexp(0).to(x.dtype)

    def start(self, noise: Tensor) -> Tensor:
        """The law at t = 1 as a function of noise, (B, *): the prior."""
        return self.process.prior(noise)

    def _logits(self, x: Tensor, t: Tensor, cond: dict[str, Any]) -> Tensor:
        """log w_i - E_i - log Z_i, (parts, B)."""
        total = sum(self.weights)
        schedule = self.process.schedule
        rows = []
        for i, (weight, denoiser) in enumerate(zip(self.weights, self.denoisers, strict=True)):
            row = math.log(weight / total) - denoiser.energy(x, t, **cond).double()
            if self.constants is not None:
                row = row - self.constants[i].at((schedule.sigma(t.double()) / schedule.alpha(t.double())).log())
            rows.append(row)
        return torch.stack(rows)


def negation(kept: Denoiser, avoided: Denoiser, weight: float = 0.5) -> Product:
    """p proportional to kept/avoided^weight: what is likely under one law and unlikely under another.

    Args:
        weight: in (0, 1).

    Raises:
        UserError: as `Product`, or a weight out of range.
    """
    if not 0 < weight < 1:
        raise UserError(f"a law is negated with a weight between 0 and 1, for the rest to be a law; got {weight:g}")
    return product((kept, avoided), (1.0, -weight))


def noise_constants(
    denoiser: HasEnergy, shape: Sequence[int], times: Tensor, *, chains: int = 200, moves: int = 2, seed: int = 0
) -> Constants:
    """log Z(t) of a denoiser's energy at the times of a grid, by annealed importance sampling from the prior down.

    Args:
        denoiser: with an energy, unconditional or `Given` its conditions.
        shape: of one item.
        times: (N,), falling; a time 0 at the end is left out.
        chains, moves, seed: as for `mcmc.annealed_importance`.
    """
    schedule = denoiser.process.schedule
    times = times.double().cpu()
    times = times[schedule.sigma(times) > 0]
    found: list[Normaliser] = annealed_along(noised(denoiser, shape, times), chains=chains, moves=moves, seed=seed)
    levels = (schedule.sigma(times) / schedule.alpha(times)).log().tolist()
    rows = sorted((level, each.log_z, each.error) for level, each in zip(levels, found, strict=True))
    return Constants(*(tuple(column) for column in zip(*rows, strict=True)))


def same_process(denoisers: Sequence[Denoiser]) -> Gaussian:
    """The one process of several denoisers.

    Raises:
        UserError: none, processes that are not Gaussian, or of different schedules: their levels of noise are not the
            same laws' at the same time.
    """
    if not denoisers:
        raise UserError("a composition needs at least one law")
    first = denoisers[0].process
    for denoiser in denoisers:
        process = denoiser.process
        if not isinstance(process, Gaussian) or not isinstance(first, Gaussian):
            raise UserError(f"laws of numbers are composed, under a Gaussian process; got {type(process).__name__}")
        if process.schedule != first.schedule:
            raise UserError(
                f"laws of different processes cannot be composed: one has the schedule {first.schedule}, another "
                f"{process.schedule}; train them with the same process.schedule"
            )
    assert isinstance(first, Gaussian)
    return first
