"""Laws for the tests of chains, with their slopes written by hand."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pellucid.foundations.rng import Stream
from pellucid.mcmc import Place

F64 = torch.float64
COVARIANCE = torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=F64)
MEAN = torch.tensor([1.0, -2.0], dtype=F64)


def normal(x: Tensor) -> Place:
    """N(MEAN, COVARIANCE)."""
    pull = (x - MEAN) @ torch.linalg.inv(COVARIANCE)
    return Place(x, 0.5 * ((x - MEAN) * pull).sum(1), pull)


def quartic(x: Tensor) -> Place:
    """exp(-sum x^4/4 - x_1 x_2/2): no normal law, and its slope is no linear map."""
    return Place(x, (x**4 / 4).sum(1) + x[:, 0] * x[:, 1] / 2, x**3 + x.flip(1) / 2)


def two_humps(x: Tensor) -> Place:
    """0.3 N(-1.5, 0.5) + 0.7 N(1, 0.4) on the line."""
    weights, means, variances = (torch.tensor(v, dtype=F64) for v in ((0.3, 0.7), (-1.5, 1.0), (0.5, 0.4)))
    logits = weights.log() - 0.5 * (x - means) ** 2 / variances - 0.5 * (2 * math.pi * variances).log()
    share = logits.softmax(1)
    return Place(x, -logits.logsumexp(1), (share * (x - means) / variances).sum(1, keepdim=True))


# E x, E x^2, E x^3 of two_humps: those of N(m, v) are m, m^2 + v and m^3 + 3 m v
HUMPS = tuple(
    0.3 * f(-1.5, 0.5) + 0.7 * f(1.0, 0.4)
    for f in (lambda m, v: m, lambda m, v: m**2 + v, lambda m, v: m**3 + 3 * m * v)
)


def stream(chains: int, seed: int = 0) -> Stream:
    return Stream.of(seed, range(chains))


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def humps_exactly(count: int, seed: int) -> Tensor:
    """Independent draws of two_humps, (count, 1)."""
    first = torch.rand(count, 1, dtype=F64, generator=torch.Generator().manual_seed(seed)) < 0.3
    z = numbers(count, 1, seed=seed + 1)
    return torch.where(first, -1.5 + 0.5**0.5 * z, 1.0 + 0.4**0.5 * z)
