"""Exact laws for the tests of likelihoods: centred, of about unit variance, so that t = 1 is close to the prior."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES

F64 = torch.float64


def process(name: str) -> Gaussian:
    return Gaussian(SCHEDULES[name]())


def mixture(name: str, size: int, components: int = 4) -> MixtureOracle:
    """A mixture of `components` Gaussians in `size` dimensions with mean zero; one component is a plain Gaussian of
    uneven variances."""
    generator = torch.Generator().manual_seed(size)
    means = torch.randn(components, size, dtype=F64, generator=generator) * (0.8 if size == 2 else 0.4)
    variances = 0.2 + 0.3 * torch.rand(components, size, dtype=F64, generator=generator)
    return MixtureOracle(process(name), means - means.mean(0), variances)


def draws(oracle: MixtureOracle, count: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, *oracle.means.shape[1:], dtype=F64, generator=generator)
    return oracle.sample(noise, torch.rand(count, dtype=F64, generator=generator))
