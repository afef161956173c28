r"""Distances between two samples by optimal transport.

In one dimension the optimal plan matches quantiles: with F^-1, G^-1 the samples' quantile functions,

    W_p^p = integral over q in (0, 1) of |F^-1(q) - G^-1(q)|^p                                                     (1)

and for samples of N and M items both are step functions, so the integral is a finite sum. The sliced distance is the
mean of (1) over directions on the unit sphere (Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures",
2015, definition 3.1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream

_BLOCK = 1 << 24  # numbers sorted at once


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
