r"""What every metric of two samples shares: the checks of its input, its result, and where its error bar comes from.

A metric is a function `metric(generated, real, *, seed=0) -> Scored` of two samples of items of one shape. Beside its
value stands an interval, and the *floor*: the value that one half of the real sample gets against the other half. A
generator cannot be told from the data by a metric whose value is no further from its ideal than the floor is.

Three kinds of intervals are used, each where its theory holds:

* a share of items that are independent given the other sample: Wilson's interval (`foundations.measured`);
* a U-statistic: an unbiased estimate of its variance (`kernel`);
* a smooth function of the two empirical laws: with psi_x and psi_y the influence of one item,

      standard error^2 = Var psi_x(X) / N + Var psi_y(Y) / M.                                                       (1)

Squared distances theta (Frechet, MMD, Wasserstein) need more care near their ideal, zero. There psi vanishes with the
square root of theta, and what remains is of the second order, V_2:

    Var of the estimate of theta = c theta + V_2.                                                                    (2)

An interval whose width is taken at the estimate would be too narrow just where the estimate came out too low. As
Wilson's does for shares, `score_interval` therefore keeps every theta that the estimate is compatible with under *that*
theta's own variance (2). c is (1) over the plain distance, V_2 is known for a U-statistic, and for the others it is
what the same statistic shows between random halves of the real sample, where the law *is* equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

import torch
from scipy.special import stdtrit
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.measured import Measured, wilson
from ..foundations.rng import subseed

Better = Literal["lower", "higher", "nearer"]
_HALVINGS = 8


@dataclass(frozen=True)
class Scored:
    """The value of a metric, with what is needed to judge it.

    Attributes:
        name: as in `METRICS`.
        value: the value.
        low, high: its interval at `confidence`; None where there is none.
        num_generated, num_real: the sizes of the two samples that entered.
        ideal: the value where both laws are equal, as far as it is known; None where it depends on the data.
        better: whether less or more is better, or what is nearer to the ideal.
        floor: the value of one half of the real sample against the other; None where the halves are too small.
        interval: how the interval was made, in words.
        warnings: what the reader must know to read the value rightly.
        confidence: of the interval.
        share: whether the value lies in [0, 1] by its nature.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    num_generated: int
    num_real: int
    ideal: float | None
    better: Better
    floor: float | None = None
    interval: str = ""
    warnings: tuple[str, ...] = ()
    confidence: float = 0.95
    share: bool = False

    @property
    def measured(self) -> Measured:
        """The same number as the reports of a run print it; its note holds the real sample's size and the floor."""
        notes = [f"{self.num_real:,} real items"]
        if self.floor is not None:
            notes.append(f"{self.floor:.4g} between halves of them")
        return Measured(
            self.name,
            self.value,
            self.low,
            self.high,
            self.num_generated,
            note="; ".join([*notes, *self.warnings]),
            confidence=self.confidence,
            share=self.share,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def two_samples(generated: Tensor, real: Tensor, *, least: int = 2) -> tuple[Tensor, Tensor]:
    """Both samples as float64 rows, (N, D) and (M, D).

    Raises:
        UserError: items of different shapes, fewer than `least` items, or numbers that are not finite, by name.
    """
    for name, sample in (("generated", generated), ("real", real)):
        if sample.ndim < 2:
            raise UserError(f"the {name} sample must be (N, *) with at least one axis per item, got {_shape(sample)}")
        if len(sample) < least or not sample.numel():
            raise UserError(
                f"the {name} sample holds {len(sample)} items of shape {_shape(sample[:0])[1:]}; needed "
                f"are at least {least} items that are not empty"
            )
    if generated.shape[1:] != real.shape[1:]:
        raise UserError(
            f"generated items have shape {tuple(generated.shape[1:])} and real ones {tuple(real.shape[1:])}; "
            "bring both to one shape, or give features of both"
        )
    x, y = generated.detach().flatten(1).double(), real.detach().flatten(1).double().to(generated.device)
    for name, rows in (("generated", x), ("real", y)):
        bad = int((~rows.isfinite().all(1)).sum())
        if bad:
            raise UserError(
                f"{bad:,} of {len(rows):,} items of the {name} sample hold numbers that are not finite (NaN or "
                "infinite); look at the features or at the samples, and leave such items out"
            )
    return x, y


def order(count: int, seed: int, purpose: str, device: torch.device | str = "cpu") -> Tensor:
    """A random order of `count` items, a pure function of the seed and the purpose: (count,) int64."""
    generator = torch.Generator().manual_seed(subseed(seed, purpose) % (1 << 63))
    return torch.randperm(count, generator=generator).to(device)


def halvings(real: Tensor, seed: int, repeats: int = _HALVINGS) -> Iterator[tuple[Tensor, Tensor]]:
    """The real sample parted at random into two halves of equal size, again and again."""
    half = len(real) // 2
    for i in range(repeats):
        at = order(len(real), seed, f"halves/{i}", real.device)
        yield real[at[:half]], real[at[half : 2 * half]]


def normal_interval(value: float, error: float, confidence: float = 0.95) -> tuple[float, float]:
    """value +- z error, with z the normal quantile."""
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * error
    return value - half, value + half


def score_interval(value: float, slope: float, null_variance: float, confidence: float = 0.95) -> tuple[float, float]:
    """All theta with (value - theta)^2 <= z^2 (slope max(theta, 0) + null_variance), equation (2).

    No squared distance is below zero, but its estimate can be, and then only the second order is left: the interval
    holds the estimate in any case. With slope zero it is `normal_interval`.

    >>> low, high = score_interval(1.0, 0.0, 0.01)
    >>> round(low, 3), round(high, 3)
    (0.804, 1.196)
    """
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    at_zero = math.sqrt(z2 * null_variance)  # half the width, for every theta up to zero
    middle = value + z2 * slope / 2
    half = math.sqrt(max(0.0, z2 * (slope * value + z2 * slope**2 / 4 + null_variance)))
    low = middle - half if value > at_zero else value - at_zero
    return low, middle + half if value > -at_zero else value + at_zero


def variance_slope(value: float, plain: float, variance: float, null_variance: float, counted: float = 2.0) -> float:
    """The c of equation (2), from a first-order variance that was taken at the estimate.

    Such a variance counts the second order too, `counted` times (influence and jackknife do twice), as the plain
    distance counts the bias: so their ratio is c where few directions carry both. With many weak ones the plain
    distance is mostly bias, and c is seen better in what is left of the variance over what is left of the distance.
    The greater of the two is taken.
    """
    rest = (variance - counted * null_variance) / max(value, 2 * math.sqrt(null_variance), 1e-300)
    return max(rest, variance / plain if plain > 0 else 0.0, 0.0)


def student(error: float, degrees: int) -> float:
    """A standard error that is known from few repeats, widened as Student's 97.5 % quantile is over the normal one."""
    return error * float(stdtrit(degrees, 0.975)) / NormalDist().inv_cdf(0.975)


def share(
    name: str, hits: Tensor, num_generated: int, num_real: int, *, interval: str, ideal: float | None = None
) -> Scored:
    """A share of items, (K,) of true and false, with Wilson's interval; more is better."""
    low, high = wilson(int(hits.sum()), len(hits))
    return Scored(
        name,
        float(hits.double().mean()),
        low,
        high,
        num_generated,
        num_real,
        ideal,
        "higher",
        interval=interval,
        share=True,
    )


def with_floor(
    scored: Scored, real: Tensor, metric: Callable[[Tensor, Tensor], float], seed: int, *, least: int = 4
) -> Scored:
    """Adds the mean of the metric over random halves of the real sample, where a half has `least` items."""
    if len(real) // 2 < least:
        return replace(scored, warnings=(*scored.warnings, f"no floor: {len(real)} real items are too few to halve"))
    values = [metric(a, b) for a, b in halvings(real, seed, repeats=2)]
    return replace(scored, floor=math.fsum(values) / len(values))


def squared_distance(
    name: str,
    corrected: Callable[[Tensor, Tensor], float],
    first_order: Callable[[Tensor, Tensor], tuple[float, float]],
    x: Tensor,
    y: Tensor,
    *,
    seed: int,
    least: int,
    interval: str,
    warnings: tuple[str, ...] = (),
    counted: float = 2.0,
) -> Scored:
    """A corrected squared distance with its `score_interval` and its floor, both by random halves of the real sample.

    Args:
        name: of the metric.
        corrected: the estimate of two samples, zero on average where their laws are equal.
        first_order: the plain distance of two samples and the square root of (1).
        x, y: the generated and the real sample, (N, D) and (M, D).
        seed: of the halves.
        least: items that a half needs; where it has fewer, there is no floor and the interval is `normal_interval`.
        interval: in words.
        warnings: of the caller.
        counted: how often the square of the first-order error counts the second order.
    """
    value = corrected(x, y)
    plain, error = first_order(x, y)
    if len(y) // 2 < least:
        low, high = normal_interval(value, error)
        warnings = (*warnings, f"no floor: half of {len(y):,} real items are fewer than the {least:,} needed")
        return Scored(name, value, low, high, len(x), len(y), 0.0, "lower", None, interval, warnings)
    values = torch.tensor([corrected(a, b) for a, b in halvings(y, seed)], dtype=torch.float64)
    # Second-order noise is in proportion to 1/N + 1/M, and 2/M + 2/M between halves of M/2 items.
    noise = student(float(values.std()), len(values) - 1) * (1 / len(x) + 1 / len(y)) * len(y) / 4
    low, high = score_interval(value, variance_slope(value, plain, error**2, noise**2, counted), noise**2)
    floor = float(values.mean())
    return Scored(name, value, low, high, len(x), len(y), 0.0, "lower", floor, interval, warnings)


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)
