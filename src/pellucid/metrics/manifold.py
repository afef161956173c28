r"""Whether generated items lie where real ones do, and real ones where generated ones do.

Around each item of a sample lies a ball that reaches to its k-th nearest neighbour in the same sample; the union of the
balls stands for where the law has its mass.

    precision  share of generated items inside a ball of a real one                                                 (1)
    recall     share of real items inside a ball of a generated one                                                 (2)
    density    balls of real items around a generated one, its mean over k: one is expected of equal laws           (3)
    coverage   share of real items whose ball holds a generated one                                                 (4)

(1) and (2): Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", 2019, eq. 1 to
3. (3) and (4): Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", 2020, eq. 4 and 5; by
them one far outlier cannot call everything real. All four depend on the sizes of the samples: compare with the floor,
and only values at the same sizes with one another.

The intervals: given the balls, each share is a binomial one. But a ball reaches to an item of a sample too, and items
beside one another share their fate: the binomial error is a half to a third of the true one. The error here is the
jackknife's, leaving out groups of items of either sample in turn (radii and all), which on average is no less than it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .base import Scored, normal_interval, order, two_samples, with_floor
from .distances import blocks, nearest, squared

_GROUPS = 10
_K = 5


@dataclass(frozen=True)
class Tally:
    """Generated items x in the balls of real items y, for the whole y and for y without each of G groups.

    Attributes:
        inside: balls that hold each of x, (1 + G, N); row 0 is for the whole y.
        reach: squared radii of the balls, (1 + G, M); -1 for an item that is left out.
        gaps: squared distance of each of y to the nearest of each group of x, (G, M).
        group_x, group_y: the group of each item, (N,) and (M,).
    """

    inside: Tensor
    reach: Tensor
    gaps: Tensor
    group_x: Tensor
    group_y: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, k: int, groups: int, seed: int) -> Tally:
        """One pass over all pairs, in blocks."""
        group_x = order(len(x), seed, "manifold/x", x.device) % groups
        group_y = order(len(y), seed, "manifold/y", y.device) % groups
        reach = _reaches(y, k, group_y, groups)
        inside = torch.empty(len(reach), len(x), dtype=torch.int64, device=x.device)
        gaps = torch.full((groups, len(y)), torch.inf, dtype=x.dtype, device=x.device)
        for start, part in blocks(x, len(y)):
            d = squared(part, y)
            for row, radii in enumerate(reach):
                inside[row, start : start + len(part)] = (d <= radii).sum(1)
            for g in range(groups):
                mine = d[group_x[start : start + len(part)] == g]
                if len(mine):
                    gaps[g] = torch.minimum(gaps[g], mine.amin(0))
        return cls(inside, reach, gaps, group_x, group_y)

    def precision(self) -> tuple[float, float]:
        """Equation (1) and its standard error."""
        return self._mean_over_x((self.inside > 0).double())

    def density(self, k: int) -> tuple[float, float]:
        """Equation (3) and its standard error."""
        return self._mean_over_x(self.inside.double() / k)

    def coverage(self) -> tuple[float, float]:
        """Equation (4) and its standard error."""
        whole, groups = self.gaps.amin(0), range(len(self.gaps))
        # A ball holds one of x where the nearest of them is no further than it reaches.
        without_x = [self.gaps[[g for g in groups if g != out]].amin(0) for out in groups] if len(groups) > 1 else []
        left_x = [_mean(gap <= self.reach[0]) for gap in without_x]
        left_y = [_mean((whole <= self.reach[1 + g])[self.group_y != g]) for g in groups]
        return _mean(whole <= self.reach[0]), math.hypot(_jackknife(left_x), _jackknife(left_y))

    def _mean_over_x(self, values: Tensor) -> tuple[float, float]:
        left_x = [_mean(values[0, self.group_x != g]) for g in range(len(self.gaps))]
        left_y = [_mean(row) for row in values[1:]]
        return _mean(values[0]), math.hypot(_jackknife(left_x), _jackknife(left_y))


@dataclass(frozen=True)
class Manifold:
    """Precision, recall, density and coverage of two samples."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(generated: Tensor, real: Tensor, *, k: int = _K) -> Manifold:
    """Equations (1) to (4) in bounded memory: (N, *), (M, *).

    Args:
        generated: at least k + 1 items.
        real: likewise.
        k: which neighbour a ball reaches to.

    Raises:
        UserError: as `two_samples`, or too few items for k.
    """
    x, y = _samples(generated, real, k)
    there, back = Tally.of(x, y, k, 1, 0), Tally.of(y, x, k, 1, 0)
    return Manifold(there.precision()[0], back.precision()[0], there.density(k)[0], there.coverage()[0])


def precision(generated: Tensor, real: Tensor, *, seed: int = 0, k: int = _K) -> Scored:
    """Improved precision, equation (1)."""
    return _scored("precision", lambda x, y, g: Tally.of(x, y, k, g, seed).precision(), generated, real, seed, k)


def recall(generated: Tensor, real: Tensor, *, seed: int = 0, k: int = _K) -> Scored:
    """Improved recall, equation (2)."""
    return _scored("recall", lambda x, y, g: Tally.of(y, x, k, g, seed).precision(), generated, real, seed, k)


def density(generated: Tensor, real: Tensor, *, seed: int = 0, k: int = _K) -> Scored:
    """Density, equation (3); equal laws have 1."""
    return _scored("density", lambda x, y, g: Tally.of(x, y, k, g, seed).density(k), generated, real, seed, k)


def coverage(generated: Tensor, real: Tensor, *, seed: int = 0, k: int = _K) -> Scored:
    """Coverage, equation (4); equal laws of equal sizes have about 1 - 2^-k."""
    return _scored("coverage", lambda x, y, g: Tally.of(x, y, k, g, seed).coverage(), generated, real, seed, k)


def _scored(
    name: str,
    function: Callable[[Tensor, Tensor, int], tuple[float, float]],
    generated: Tensor,
    real: Tensor,
    seed: int,
    k: int,
) -> Scored:
    x, y = _samples(generated, real, k)
    groups = min(_GROUPS, len(x) // (k + 1), len(y) // (k + 1))
    value, error = function(x, y, max(1, groups))
    share = name != "density"
    low = high = None
    warnings: tuple[str, ...] = ()
    if groups < 5:
        warnings = (f"no interval: {len(x):,} generated and {len(y):,} real items are few for {k} neighbours",)
    else:
        low, high = normal_interval(value, error)
        low, high = max(0.0, low), min(1.0, high) if share else high
    ideal = None if share else 1.0
    words = "jackknife over groups of both samples"
    scored = Scored(
        name, value, low, high, len(x), len(y), ideal, "higher", interval=words, warnings=warnings, share=share
    )
    return with_floor(scored, y, lambda a, b: function(a, b, 1)[0], seed, least=k + 1)


def _samples(generated: Tensor, real: Tensor, k: int) -> tuple[Tensor, Tensor]:
    if k < 1:
        raise UserError(f"k counts neighbours and is at least 1, got {k}")
    return two_samples(generated, real, least=k + 1)


def _reaches(y: Tensor, k: int, group: Tensor, groups: int) -> Tensor:
    """Squared distance of each of y to its k-th neighbour, in the whole sample and without each group: (1 + G, M)."""
    distances, indices = nearest(y, y, min(len(y) - 1, 4 * k + 10), apart=True)
    rows = [distances[:, k - 1]]
    for g in range(groups):
        # Four times as many neighbours as needed are at hand: a tenth of the sample has not so many of the nearest.
        stays = (group[indices] != g).cumsum(1)
        place = (stays < k).sum(1).clamp_max(distances.shape[1] - 1)
        reach = distances.gather(1, place[:, None])[:, 0]
        rows.append(reach.masked_fill(group == g, -1.0))
    return torch.stack(rows)


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _jackknife(left: list[float]) -> float:
    """The standard error by the values with each group left out."""
    if len(left) < 2:
        return 0.0
    values = torch.tensor(left, dtype=torch.float64)
    return math.sqrt(float((values - values.mean()).square().sum()) * (len(left) - 1) / len(left))
