r"""Loss weights w(t) on the squared error of x_0, as functions of alpha and sigma.

Every target a network may predict is affine in x_0 given x_t, so "the loss on eps" or "on v" is a weight on the
error of x_0. With s2 = (sigma/alpha)^2 the inverse signal-to-noise ratio:

    x0: 1      eps: 1/s2      v: 1 + 1/s2 (variance-preserving schedules)      flow: (1 + 1/sqrt(s2))^2

(Salimans and Ho, "Progressive Distillation for Fast Sampling", 2022, section 4 and appendix D.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.registry import Registry


class Weighting(ABC):
    """w(alpha, sigma), elementwise."""

    @abstractmethod
    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The weight on the squared error of x_0."""


def _snr(alpha: Tensor, sigma: Tensor) -> Tensor:
    # Finite at t = 0, where the error it multiplies is zero.
    return (alpha / sigma.clamp_min(1e-10)).square()


@dataclass(frozen=True)
class X0(Weighting):
    """The plain squared error of x_0."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma)


@dataclass(frozen=True)
class Eps(Weighting):
    """The squared error of the noise: Ho et al.'s simple loss (2020, eq. 14)."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return _snr(alpha, sigma)


@dataclass(frozen=True)
class V(Weighting):
    """The squared error of v = alpha eps - sigma x_0, for variance-preserving schedules 1 + SNR."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return ((alpha.square() + sigma.square()) / sigma.clamp_min(1e-10)).square()


@dataclass(frozen=True)
class Flow(Weighting):
    """The squared error of the straight path's velocity eps - x_0."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return ((alpha + sigma) / sigma.clamp_min(1e-10)).square()


@dataclass(frozen=True)
class MinSNR(Weighting):
    """min(SNR, gamma) (Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", 2023)."""

    gamma: float = 5.0

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return _snr(alpha, sigma).clamp_max(self.gamma)


@dataclass(frozen=True)
class EDM(Weighting):
    """Unit weight on the network's own output under EDM preconditioning: SNR + 1/sigma_data^2 (Karras et al. 2022,
    table 1; the same number whatever alpha is)."""

    sigma_data: float = 0.5

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return _snr(alpha, sigma) + self.sigma_data**-2


WEIGHTINGS: Registry[Weighting] = Registry(
    "weighting", {"x0": X0(), "eps": Eps(), "v": V(), "flow": Flow(), "min_snr": MinSNR(), "edm": EDM()}
)
