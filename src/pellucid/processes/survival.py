r"""How likely a symbol still is what it was at time t: the schedules of processes on symbols.

A symbol survives to time t with probability alpha(t), from alpha(0) = 1 to alpha(1) = 0 exactly, and is then drawn anew
from the process's stationary law. With the lost share 1 - alpha(t) given beside alpha, neither end cancels:

    linear       1 - alpha = t            ("log-linear" where -log alpha is the noise; Sahoo et al., "Simple and
                                          Effective Masked Diffusion Language Models", 2024)
    polynomial   1 - alpha = t^power      (Shi et al., "Simplified and Generalized Masked Diffusion for Discrete Data",
                                          2024, table 1)
    cosine       1 - alpha = sin(pi t/2)  (the same table)
    geometric    -log alpha = low ((high/low)^t - 1), shifted and scaled so that it ends at 0 (Lou et al., "Discrete
                                          Diffusion Modeling by Estimating the Ratios of the Data Distribution", 2024)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.registry import Registry


class Survival(ABC):
    """The law of the time at which a symbol is lost: elementwise on tensors of any shape, in their precision."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """The probability of surviving to t; 1 at 0, 0 at 1."""

    @abstractmethod
    def lost(self, t: Tensor) -> Tensor:
        """1 - alpha(t), without cancellation near t = 0."""

    @abstractmethod
    def rate(self, t: Tensor) -> Tensor:
        """-d alpha/dt, at least 0."""

    @abstractmethod
    def time(self, lost: Tensor) -> Tensor:
        """The inverse of `lost`."""


@dataclass(frozen=True)
class Polynomial(Survival):
    """1 - alpha = t^power."""

    power: float = 2.0

    def __post_init__(self) -> None:
        if not (self.power > 0 and math.isfinite(self.power)):
            raise UserError(f"the power of a polynomial survival must be a positive number, got {self.power}")

    def alpha(self, t: Tensor) -> Tensor:
        # 1 - t^p by expm1, which keeps its digits near t = 1.
        return -torch.expm1(self.power * t.log())

    def lost(self, t: Tensor) -> Tensor:
        return t**self.power

    def rate(self, t: Tensor) -> Tensor:
        return self.power * t ** (self.power - 1)

    def time(self, lost: Tensor) -> Tensor:
        return lost ** (1 / self.power)


@dataclass(frozen=True)
class Linear(Survival):
    """1 - alpha = t."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def lost(self, t: Tensor) -> Tensor:
        return t

    def rate(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def time(self, lost: Tensor) -> Tensor:
        return lost


@dataclass(frozen=True)
class Cosine(Survival):
    """1 - alpha = sin(pi t/2)."""

    def alpha(self, t: Tensor) -> Tensor:
        # 1 - cos(x) = 2 sin(x/2)^2 for x = pi (1 - t)/2, exact near x = 0.
        return 2 * (math.pi / 4 * (1 - t)).sin().square()

    def lost(self, t: Tensor) -> Tensor:
        return (math.pi / 2 * t).sin()

    def rate(self, t: Tensor) -> Tensor:
        return math.pi / 2 * (math.pi / 2 * t).cos().clamp_min(0)

    def time(self, lost: Tensor) -> Tensor:
        return 2 / math.pi * lost.asin()


@dataclass(frozen=True)
class Geometric(Survival):
    """alpha = (exp(-n(t)) - exp(-n(1)))/(1 - exp(-n(1))) with the noise n(t) = low ((high/low)^t - 1)."""

    low: float = 1e-2
    high: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise UserError(f"a geometric survival needs 0 < low < high, got {self.low} and {self.high}")

    def alpha(self, t: Tensor) -> Tensor:
        left = self._noise(torch.ones_like(t)) - self._noise(t)
        return (-self._noise(t)).exp() * -torch.expm1(-left) / self._whole

    def lost(self, t: Tensor) -> Tensor:
        return -torch.expm1(-self._noise(t)) / self._whole

    def rate(self, t: Tensor) -> Tensor:
        growth = math.log(self.high / self.low) * (self._noise(t) + self.low)
        return growth * (-self._noise(t)).exp() / self._whole

    def time(self, lost: Tensor) -> Tensor:
        noise = -torch.log1p(-lost * self._whole)
        # Near t = 1 the lost share hardly grows, and its last digit is far in t.
        return (torch.log1p(noise / self.low) / math.log(self.high / self.low)).clamp_max(1)

    @property
    def _whole(self) -> float:
        return -math.expm1(self.low - self.high)

    def _noise(self, t: Tensor) -> Tensor:
        return self.low * torch.expm1(math.log(self.high / self.low) * t)


SURVIVALS: Registry[Callable[..., Survival]] = Registry(
    "survival", {"linear": Linear, "cosine": Cosine, "polynomial": Polynomial, "geometric": Geometric}
)


def even_times(survival: Survival, num_steps: int) -> Tensor:
    """A time grid on which every step restores the same share of symbols, (num_steps + 1,) from 1 to 0, float64.

    Raises:
        UserError: fewer than one step.
    """
    if num_steps < 1:
        raise UserError(f"a sampler needs at least 1 step, got {num_steps}")
    times = survival.time(torch.linspace(1, 0, num_steps + 1, dtype=torch.float64))
    times[0] = 1
    return times


def steady_times(survival: Survival, u: Tensor) -> tuple[Tensor, Tensor]:
    """Times at which to measure the bound of a process on symbols, and dt/du, for uniform numbers u in [0, 1).

    With uniform times a symbol is lost with a probability p that its loss is divided by, so that the variance of the
    integral grows without end towards t = 0; with p = u^2 it is finite.
    """
    u = u.double().clamp_min(1e-6)
    t = survival.time(u.square())
    return t, 2 * u / survival.rate(t)
