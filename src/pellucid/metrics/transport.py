r"""Distances between two samples by optimal transport.

In one dimension the optimal plan matches quantiles: with F^-1, G^-1 the samples' quantile functions,

    W_p^p = integral over q in (0, 1) of |F^-1(q) - G^-1(q)|^p                                                     (1)

and for samples of N and M items both are step functions, so the integral is a finite sum. The sliced distance is the
mean of (1) over directions on the unit sphere (Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures",
2015, definition 3.1).

In more dimensions the optimal plan between two samples of one size is an assignment,

    W_2^2 = min over permutations s of the mean over i of |x_i - y_s(i)|^2,                                          (2)

found exactly. Samples of one law are not at distance zero, in (2) less so the higher the dimension, so the plain value
says little. Halves of each sample lend themselves to a correction without any rate assumed:

    V = mean of W_2^2 between a half of x and a half of y (four pairs) - (W_2^2(x, x') + W_2^2(y, y'))/2             (3)

has mean zero where both laws are equal, whatever they are, since all six pairs are then alike; and where one law is the
other one shifted, its mean is the shift's square. In general the mean of (3) lies near W_2^2 of the laws, not always at
it: what differs is the bias of pairs of unequal laws against that of pairs of equal ones. The error is that of (3) on
disjoint blocks of both samples: as (3) has no bias to speak of, blocks differ by chance alone. (The dual potentials of
one assignment, whose variance is the limit's, come out too flat in finite samples: two thirds of the error were seen.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream
from .base import Scored, order, squared_distance, student, two_samples
from .distances import squared

_BLOCK = 1 << 24  # numbers sorted at once
LARGEST_ASSIGNMENT = 2000  # items on each side; the time grows like its cube, here to about a second

_BLOCKS = 8

Cost = Callable[[Tensor, Tensor], float]


def sliced_wasserstein(x: Tensor, y: Tensor, *, num_projections: int = 256, seed: int = 0, p: float = 1) -> float:
    """(mean over directions of W_p^p of the projected samples)^(1/p), in the data's units.

    Two samples of one law are not at distance zero: compare with the distance of two independent real samples of the
    same sizes, the noise floor.

    Args:
        x: one sample, (N, *).
        y: another, (M, *), of any size M.
        num_projections: random directions; they are a function of the seed alone.
        p: the power, at least 1.

    Raises:
        UserError: items of different shapes, an empty sample, or a number that is not finite.

    >>> sliced_wasserstein(torch.zeros(3, 1), torch.tensor([[1.0], [2.0]]))
    1.5
    """
    x, y = x.flatten(1).double(), y.flatten(1).double()
    if x.shape[1] != y.shape[1] or not len(x) or not len(y):
        raise UserError(f"two samples of items of one shape are needed, got {tuple(x.shape)} and {tuple(y.shape)}")
    if not bool(x.isfinite().all() & y.isfinite().all()):
        raise UserError("a sample holds numbers that are not finite")
    if num_projections < 1 or p < 1:
        raise UserError(f"num_projections and p must be at least 1, got {num_projections} and {p}")
    stream = Stream.of(seed, range(num_projections), x.device)
    directions = torch.nn.functional.normalize(stream.normal(x.shape[1:], step=0)[0, 0].double(), dim=1)
    block = max(1, _BLOCK // (len(x) + len(y)))
    powers = torch.cat([wasserstein_powers(x @ d.T, y @ d.T, p) for d in directions.split(block)])
    return float(powers.mean()) ** (1 / p)


def wasserstein_powers(x: Tensor, y: Tensor, p: float = 1) -> Tensor:
    """Equation (1) for each column of two samples of numbers: (N, P) and (M, P) to (P,)."""
    x, y = x.sort(0).values, y.sort(0).values
    n, m = len(x), len(y)
    if n == m:
        return (x - y).abs().pow(p).mean(0)
    # Both quantile functions are constant between neighbouring multiples of 1/N and 1/M: counted in units of 1/(N M),
    # where all of them are integers.
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique().to(x.device)
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    width = (ends - starts).to(x.dtype) / (n * m)
    return width @ (x[starts // m] - y[starts // n]).abs().pow(p)


def assignment(x: Tensor, y: Tensor) -> float:
    """Equation (2), W_2^2 of two samples of one size, (N, *) twice, in squared units of the data.

    Raises:
        UserError: as `two_samples`, unequal sizes, or more than `LARGEST_ASSIGNMENT` items.
    """
    x, y = two_samples(x, y, least=1)
    if len(x) != len(y):
        raise UserError(f"an assignment needs samples of one size, got {len(x):,} and {len(y):,}: leave some items out")
    if len(x) > LARGEST_ASSIGNMENT:
        raise UserError(
            f"an exact assignment of {len(x):,} items takes too long: give at most {LARGEST_ASSIGNMENT:,}, or use "
            "sliced_wasserstein"
        )
    cost = squared(x, y).cpu().numpy()
    return float(cost[linear_sum_assignment(cost)].mean())


def wasserstein(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """The squared Wasserstein-2 distance by exact assignment, corrected as in (3), in squared units of the data.

    Of more than 4,000 items, and of the larger sample, a part enters that is chosen by the seed; its size is in the
    result.

    Args:
        generated: (N, *), at least 16 items.
        real: (M, *).
        seed: of the parts and the halves.

    Raises:
        UserError: as `two_samples`.
    """
    return _centred("wasserstein", assignment, generated, real, seed, LARGEST_ASSIGNMENT)


def sliced(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """The squared sliced Wasserstein-2 distance over 128 directions, corrected as in (3), in squared units of the data.

    Raises:
        UserError: as `two_samples`.
    """
    x, y = two_samples(generated, real, least=16)
    stream = Stream.of(seed, range(128), x.device)
    directions = torch.nn.functional.normalize(stream.normal(x.shape[1:], step=0)[0, 0].double(), dim=1)
    x, y = x @ directions.T, y @ directions.T
    return _centred("sliced_wasserstein", _sorted_cost, x, y, seed, max(len(x), len(y)))


def _sorted_cost(x: Tensor, y: Tensor) -> float:
    return float(wasserstein_powers(x, y, 2).mean())


def _centre(cost: Cost, x: Tensor, y: Tensor) -> float:
    """Equation (3); an odd item is left out."""
    half = min(len(x), len(y)) // 2
    (a, b), (c, d) = (sample[: 2 * half].split(half) for sample in (x, y))
    return (cost(a, c) + cost(b, d) + cost(a, d) + cost(b, c)) / 4 - (cost(a, b) + cost(c, d)) / 2


def _centred(name: str, cost: Cost, generated: Tensor, real: Tensor, seed: int, largest_half: int) -> Scored:
    x, y = two_samples(generated, real, least=16)
    half = min(len(x) // 2, len(y) // 2, largest_half)
    warnings: tuple[str, ...] = ()
    if half < max(len(x) // 2, len(y) // 2):
        warnings = (f"on {2 * half:,} of {len(x):,} generated and {len(y):,} real items",)
    x = x[order(len(x), seed, f"{name}/x", x.device)[: 2 * half]]
    y = y[order(len(y), seed, f"{name}/y", y.device)[: 2 * half]]

    def first_order(a: Tensor, b: Tensor) -> tuple[float, float]:
        count = min(_BLOCKS, len(a) // 8)
        pairs = zip(a.tensor_split(count), b.tensor_split(count), strict=True)
        values = torch.tensor([_centre(cost, p, q) for p, q in pairs], dtype=torch.float64)
        plain = cost(a[:half], b[:half])
        return plain, student(float(values.std()), count - 1) / math.sqrt(count)

    return squared_distance(
        name,
        lambda a, b: _centre(cost, a, b),
        first_order,
        x,
        y,
        seed=seed,
        least=4,
        interval="by blocks of both samples, and the spread between real halves",
        warnings=warnings,
        counted=min(_BLOCKS, len(x) // 8),
    )
