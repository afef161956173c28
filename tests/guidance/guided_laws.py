"""Laws and denoisers that several tests of guidance share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pellucid.denoisers import Denoiser
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian

F64 = torch.float64


@dataclass
class Counting:
    """A denoiser that counts the items of each of its calls."""

    denoiser: Denoiser
    sizes: list[int] = field(default_factory=list)

    @property
    def process(self) -> Any:
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        self.sizes.append(len(x))
        return self.denoiser(x, t, **cond)


@dataclass
class Product:
    """Two independent laws on the two halves of an item, conditioned by `first` and `second`; -1 is none."""

    halves: Sequence[MixtureOracle]

    @property
    def process(self) -> Any:
        return self.halves[0].process

    def __call__(self, x: Tensor, t: Tensor, *, first: Tensor, second: Tensor) -> Tensor:
        parts = zip(self.halves, x.chunk(2, dim=1), (first, second), strict=True)
        return torch.cat([law(part, t, label=label) for law, part, label in parts], dim=1)


def posterior(law: MixtureOracle, x: Tensor, t: Tensor, *, label: Tensor) -> Tensor:
    """log p(label given x_t) of a law with labels, by Bayes' rule from its densities, (B,). -1 is none."""
    share = torch.stack([law.weights[law.labels == k].sum() for k in range(int(law.labels.max()) + 1)])
    prior = (share / share.sum()).log()[label.clamp_min(0)].masked_fill(label < 0, 0.0)
    return law.log_prob(x, t, label=label) + prior - law.log_prob(x, t)


def plane(process: Gaussian) -> MixtureOracle:
    return MixtureOracle(
        process,
        torch.tensor([[-1.0, 0.5], [1.0, 0.0], [0.0, -1.0], [0.8, 0.9]], dtype=F64),
        torch.tensor([0.08, 0.05, 0.1, 0.03], dtype=F64),
        torch.tensor([0.4, 0.2, 0.3, 0.1], dtype=F64),
        labels=torch.tensor([0, 1, 1, 2]),
    )
