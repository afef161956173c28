r"""Distances between two samples by the mean of a kernel: MMD with several kernels, KID, and the energy distance.

With a = E k(X, X'), b = E k(Y, Y') and c = E k(X, Y), the squared maximum mean discrepancy is theta = a + b - 2c. Its
U-statistic leaves out each item against itself and so is unbiased: zero on average where both laws are equal, and
sometimes below zero (Gretton et al., "A Kernel Two-Sample Test", 2012, eq. 3).

* KID is theta for k(x, y) = (x.y/D + 1)^3 on D features (Binkowski et al., "Demystifying MMD GANs", 2018, section 4).
* The energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| is theta for k(x, y) = -|x - y| (Szekely and Rizzo, "Energy
  statistics", 2013, eq. 2.3; Sejdinovic et al., "Equivalence of distance-based and RKHS-based statistics", 2013).

The interval (`base.score_interval`) needs two variances. Of the second order, with k centred under the law of each of
its arguments,

    V_2 = 2 E k(X, X')^2 / N(N-1) + 2 E k(Y, Y')^2 / M(M-1) + 4 E k(X, Y)^2 / N M,                                   (1)

estimated without bias from means of products of kernel values that share two items, one or none, which need only sums
over rows (in the spirit of Sutherland, "Unbiased estimators for the variance of MMD estimators", 2019). And of the
first order, by the jackknife over both samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.registry import Registry
from .base import Scored, order, score_interval, two_samples, variance_slope, with_floor
from .distances import blocks, squared

Kernel = Callable[[Tensor, Tensor, float], Tensor]
_MEDIAN_OF = 1000


def polynomial(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """(x.y/D + 1)^3; it has no bandwidth."""
    value = x @ y.T / x.shape[1] + 1
    return value * value * value


def gaussian(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """exp(-|x - y|^2 / 2 h^2)."""
    return squared(x, y).mul_(-0.5 / bandwidth**2).exp_()


def laplace(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """exp(-|x - y| / h)."""
    return squared(x, y).sqrt_().mul_(-1 / bandwidth).exp_()


def rational(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """The mean of (1 + |x - y|^2 / 2 a h^2)^(-a) over a = 1/2, 1 and 2: near and far differences at once."""
    scaled = squared(x, y).mul_(0.5 / bandwidth**2)
    return ((1 + 2 * scaled).rsqrt() + (1 + scaled).reciprocal() + (1 + scaled / 2).square().reciprocal()) / 3


def energy_kernel(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """-|x - y|; it has no bandwidth."""
    return squared(x, y).sqrt_().neg_()


KERNELS: Registry[Kernel] = Registry(
    "kernel",
    {
        "polynomial": polynomial,
        "gaussian": gaussian,
        "laplace": laplace,
        "rational": rational,
        "energy": energy_kernel,
    },
)


@dataclass(frozen=True)
class Sums:
    """Sums over a matrix of kernel values: its rows, its columns, the squares of all entries, and its diagonal."""

    rows: Tensor
    columns: Tensor
    squares: float
    diagonal: float

    @classmethod
    def of(cls, kernel: Kernel, x: Tensor, y: Tensor, bandwidth: float, *, apart: bool) -> Sums:
        """Of k(x_i, y_j), block by block; `apart` (x is y) leaves i = j out of all but `diagonal`."""
        rows, columns, squares, diagonal = [], torch.zeros_like(y[:, 0]), 0.0, 0.0
        for start, part in blocks(x, len(y)):
            values = kernel(part, y, bandwidth)
            if apart:
                own = values.diagonal(start)[: len(part)]
                diagonal += float(own.sum())
                own.zero_()
            rows.append(values.sum(1))
            columns += values.sum(0)
            squares += float(values.square().sum())
        return cls(torch.cat(rows), columns, squares, diagonal)


@dataclass(frozen=True)
class Discrepancy:
    """The squared discrepancy of two samples.

    Attributes:
        value: theta, unbiased.
        plain: the same with each item against itself, at least zero: what the witness function has for its norm.
        variance: of the first order, by the jackknife.
        null_variance: V_2, equation (1).
    """

    value: float
    plain: float
    variance: float
    null_variance: float

    @property
    def interval(self) -> tuple[float, float]:
        """At 95 %."""
        slope = variance_slope(self.value, self.plain, self.variance, self.null_variance)
        return score_interval(self.value, slope, self.null_variance)


def mmd_squared(
    generated: Tensor, real: Tensor, *, kernel: str = "gaussian", bandwidth: float | None = None, seed: int = 0
) -> Discrepancy:
    """The squared discrepancy under a kernel, in time N M and bounded memory.

    Args:
        generated: (N, *).
        real: (M, *).
        kernel: a name of `KERNELS`.
        bandwidth: of the kernel, in the data's units; None takes the median distance in the pooled sample.
        seed: of the items that the median is taken over, where there are more than a thousand.

    Raises:
        UserError: as `two_samples` (four items in each are needed), or an unknown kernel.
    """
    x, y = two_samples(generated, real, least=4)
    function = KERNELS[kernel]
    h = median_distance(x, y, seed=seed) if bandwidth is None else bandwidth
    return _discrepancy(
        Sums.of(function, x, x, h, apart=True),
        Sums.of(function, y, y, h, apart=True),
        Sums.of(function, x, y, h, apart=False),
    )


def _discrepancy(xx: Sums, yy: Sums, xy: Sums) -> Discrepancy:
    n, m = len(xy.rows), len(xy.columns)
    a, b, c = float(xx.rows.sum()) / (n * (n - 1)), float(yy.rows.sum()) / (m * (m - 1)), float(xy.rows.sum()) / (n * m)
    theta = a + b - 2 * c
    plain = theta + (xx.diagonal / n - a) / n + (yy.diagonal / m - b) / m
    variance = _jackknife(xx.rows, xy.rows, m) + _jackknife(yy.rows, xy.columns, n)
    null = 2 * _centred(xx) / (n * (n - 1)) + 2 * _centred(yy) / (m * (m - 1)) + 4 * _centred_cross(xy) / (n * m)
    return Discrepancy(theta, plain, variance, max(0.0, null))


def _centred(sums: Sums) -> float:
    """E k(X, X')^2 of the centred kernel, unbiased: products that share both items, less twice one, plus none."""
    n, total, rows = len(sums.rows), float(sums.rows.sum()), float(sums.rows.square().sum())
    both = sums.squares / (n * (n - 1))
    one = (rows - sums.squares) / (n * (n - 1) * (n - 2))
    none = (total**2 - 4 * rows + 2 * sums.squares) / (n * (n - 1) * (n - 2) * (n - 3))
    return both - 2 * one + none


def _centred_cross(sums: Sums) -> float:
    """E k(X, Y)^2 of the kernel centred in both arguments, likewise."""
    n, m, total = len(sums.rows), len(sums.columns), float(sums.rows.sum())
    rows, columns = float(sums.rows.square().sum()), float(sums.columns.square().sum())
    both = sums.squares / (n * m)
    share_x = (rows - sums.squares) / (n * m * (m - 1))
    share_y = (columns - sums.squares) / (n * m * (n - 1))
    none = (total**2 - rows - columns + sums.squares) / (n * (n - 1) * m * (m - 1))
    return both - share_x - share_y + none


def _jackknife(own: Tensor, cross: Tensor, others: int) -> float:
    """The jackknife's variance of theta over one of the samples, from its sums over rows."""
    n = len(own)
    left = (own.sum() - 2 * own) / ((n - 1) * (n - 2)) - 2 * (cross.sum() - cross) / ((n - 1) * others)
    return float((left - left.mean()).square().sum()) * (n - 1) / n


def median_distance(x: Tensor, y: Tensor, *, seed: int = 0) -> float:
    """The median distance between different items of the pooled sample, over at most a thousand of them.

    Where more than half of the distances vanish it is their mean, and 1 where all of them do.
    """
    pooled = torch.cat([x, y])
    pooled = pooled[order(len(pooled), seed, "median", x.device)[:_MEDIAN_OF]]
    distances = torch.pdist(pooled)
    return float(distances.median()) or float(distances.mean()) or 1.0


def _scored(name: str, kernel: str, generated: Tensor, real: Tensor, seed: int) -> Scored:
    x, y = two_samples(generated, real, least=4)
    h = median_distance(x, y, seed=seed)
    found = mmd_squared(x, y, kernel=kernel, bandwidth=h)
    low, high = found.interval
    words = "inverted, with the variances of a U-statistic"
    scored = Scored(name, found.value, low, high, len(x), len(y), 0.0, "lower", interval=words)
    return with_floor(scored, y, lambda a, b: mmd_squared(a, b, kernel=kernel, bandwidth=h).value, seed)


def kid(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """The kernel distance of Binkowski et al., unbiased, over the whole samples: (N, *) and (M, *)."""
    return _scored("kid", "polynomial", generated, real, seed)


def mmd_gaussian(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """The squared discrepancy under a Gaussian kernel whose bandwidth is the median distance."""
    return _scored("mmd_gaussian", "gaussian", generated, real, seed)


def mmd_laplace(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """The squared discrepancy under a Laplace kernel whose bandwidth is the median distance."""
    return _scored("mmd_laplace", "laplace", generated, real, seed)


def mmd_rational(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """The squared discrepancy under the mean of three rational quadratic kernels."""
    return _scored("mmd_rational", "rational", generated, real, seed)


def energy(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """The energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'|, unbiased, in the data's units."""
    return _scored("energy", "energy", generated, real, seed)
