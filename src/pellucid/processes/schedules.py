r"""Noise schedules: how much signal and noise there is at time t.

A schedule is two functions, alpha(t) and sigma(t), of x_t = alpha_t x_0 + sigma_t z. Everywhere here
alpha(0) = 1, sigma(0) = 0, sigma > 0 for t > 0 and alpha(1) > 0: time 0 is the data, exactly. The rest is derived:

    log-SNR     lambda_t = 2 log(alpha_t / sigma_t)                                                                (1)
    drift       f_t = d log alpha_t / dt                                                                           (2)
    diffusion   g_t^2 = d sigma_t^2 / dt - 2 f_t sigma_t^2                                                         (3)

so that dx = f_t x dt + g_t dw has exactly the kernel q(x_t given x_0) (Kingma et al., "Variational Diffusion Models",
2021; Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", 2021, section 3.4).

A discrete chain of T steps lives at t = i / T. Between, log alpha is interpolated linearly: the SDE of piecewise
constant rate that passes through the chain's own marginals.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.registry import Registry


class Schedule(ABC):
    """Signal and noise as functions of time t in [0, 1]: elementwise on tensors of any shape, in their precision."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """The signal's scale."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """The noise's standard deviation."""

    def log_snr(self, t: Tensor) -> Tensor:
        """Equation (1); +inf at t = 0."""
        return 2 * (self.alpha(t).log() - self.sigma(t).log())

    def time(self, log_snr: Tensor) -> Tensor:
        """The inverse of `log_snr`, clamped to [0, 1]; by bisection in float64, to float64's spacing."""
        target = log_snr.double()
        low, high = torch.zeros_like(target), torch.ones_like(target)
        for _ in range(60):
            middle = (low + high) / 2
            noisier = self.log_snr(middle) < target
            low, high = torch.where(noisier, low, middle), torch.where(noisier, middle, high)
        return high.to(log_snr.dtype)

    def drift(self, t: Tensor) -> Tensor:
        """Equation (2)."""
        return _derivative(lambda u: self.alpha(u).log(), t)

    def diffusion(self, t: Tensor) -> Tensor:
        """g_t of equation (3), not squared; floored at 0 against round-off."""
        growth = _derivative(lambda u: self.sigma(u).square(), t)
        return (growth - 2 * self.drift(t) * self.sigma(t).square()).clamp_min(0).sqrt()


def _derivative(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """The derivative of an elementwise function."""
    with torch.enable_grad():
        u = t.detach().requires_grad_()
        # The zero keeps a function that is constant in time differentiable.
        return torch.autograd.grad((function(u) + 0 * u).sum(), u)[0]


class VariancePreserving(Schedule):
    """Schedules with alpha^2 + sigma^2 = 1, given by log alpha alone.

    Their diffusion is g^2 = -2 f: equation (3) with d sigma^2 = -d alpha^2 = -2 f alpha^2 dt, finite at t = 0 too.
    """

    @abstractmethod
    def log_alpha(self, t: Tensor) -> Tensor:
        """log alpha(t), at most 0."""

    def alpha(self, t: Tensor) -> Tensor:
        return self.log_alpha(t).exp()

    def sigma(self, t: Tensor) -> Tensor:
        # 1 - alpha^2 by expm1: near t = 0 the plain difference has no correct digit left.
        return (-torch.expm1(2 * self.log_alpha(t))).sqrt()

    def drift(self, t: Tensor) -> Tensor:
        """Equation (2)."""
        return _derivative(self.log_alpha, t)

    def diffusion(self, t: Tensor) -> Tensor:
        """Equation (3) as g^2 = -2 f."""
        return (-2 * self.drift(t)).clamp_min(0).sqrt()


def _lost(log_snr: Tensor) -> Tensor:
    """-log alpha of a variance-preserving schedule at a log-SNR: alpha^2 = sigmoid(log-SNR)."""
    return 0.5 * torch.nn.functional.softplus(-log_snr)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise UserError(f"{name} must be a positive number, got {value}")


@dataclass(frozen=True)
class VP(VariancePreserving):
    """The variance-preserving SDE with rate beta(t) = beta_min + t (beta_max - beta_min) (Song et al. 2021, eq. 32)."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        _positive(beta_min=self.beta_min, beta_max=self.beta_max)

    def log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * t * (self.beta_min + 0.5 * t * (self.beta_max - self.beta_min))

    def time(self, log_snr: Tensor) -> Tensor:
        # The root of -log alpha's quadratic, in the form that does not cancel for small times.
        lost = _lost(log_snr.double()).clamp_max(0.25 * (self.beta_min + self.beta_max))
        root = (0.25 * self.beta_min**2 + (self.beta_max - self.beta_min) * lost).sqrt()
        return (2 * lost / (0.5 * self.beta_min + root)).clamp_max(1).to(log_snr.dtype)


@dataclass(frozen=True)
class SubVP(Schedule):
    """The sub-VP SDE: VP's alpha with the smaller noise sigma = 1 - alpha^2 (Song et al. 2021, eq. 29)."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        _positive(beta_min=self.beta_min, beta_max=self.beta_max)

    @cached_property
    def _vp(self) -> VP:
        return VP(self.beta_min, self.beta_max)

    def alpha(self, t: Tensor) -> Tensor:
        return self._vp.alpha(t)

    def sigma(self, t: Tensor) -> Tensor:
        return -torch.expm1(2 * self._vp.log_alpha(t))


@dataclass(frozen=True)
class VE(Schedule):
    """The variance-exploding SDE: alpha = 1, sigma^2 = sigma_min^2 ((sigma_max/sigma_min)^(2t) - 1) (Song et al. 2021,
    eq. 31: the kernel's variance is the difference of two squares, so that time 0 is the data)."""

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        _positive(sigma_min=self.sigma_min, sigma_max=self.sigma_max)
        if not self.sigma_min < self.sigma_max:
            raise UserError(f"sigma_min = {self.sigma_min} must lie below sigma_max = {self.sigma_max}")

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * torch.expm1(self._rate * t).sqrt()

    def diffusion(self, t: Tensor) -> Tensor:
        """Equation (3) in closed form: sigma's own derivative is infinite at t = 0."""
        return self.sigma_min * math.sqrt(self._rate) * (0.5 * self._rate * t).exp()

    def time(self, log_snr: Tensor) -> Tensor:
        ratio = (-log_snr).exp() / self.sigma_min**2
        return (torch.log1p(ratio) / self._rate).clamp(0, 1)

    @property
    def _rate(self) -> float:
        return 2 * math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True)
class EDM(Schedule):
    """alpha = 1, sigma = sigma_max t^rho: uniform times with the power grid of Karras et al. ("Elucidating the Design
    Space of Diffusion-Based Generative Models", 2022, eq. 5) down to zero noise."""

    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        _positive(sigma_max=self.sigma_max, rho=self.rho)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_max * t**self.rho

    def time(self, log_snr: Tensor) -> Tensor:
        return ((-0.5 * log_snr - math.log(self.sigma_max)) / self.rho).exp().clamp_max(1)


@dataclass(frozen=True)
class Rectified(Schedule):
    """Straight paths: alpha = 1 - t (1 - alpha_min), sigma = t (Liu et al., "Flow Straight and Fast", 2022, eq. 1).

    The floor alpha_min keeps the data's estimate from the velocity well conditioned at t = 1.
    """

    alpha_min: float = 1e-3

    def __post_init__(self) -> None:
        _positive(alpha_min=self.alpha_min)
        if not self.alpha_min < 1:
            raise UserError(f"alpha_min must lie below 1, got {self.alpha_min}")

    def alpha(self, t: Tensor) -> Tensor:
        # 1 - t is exact near t = 1, where 1 - t (1 - alpha_min) would lose alpha_min's digits.
        return (1 - t) + self.alpha_min * t

    def sigma(self, t: Tensor) -> Tensor:
        return t

    def time(self, log_snr: Tensor) -> Tensor:
        ratio = (0.5 * log_snr).exp()
        return (1 / (ratio + (1 - self.alpha_min))).clamp_max(1)


@dataclass(frozen=True)
class Sigmoid(VariancePreserving):
    """alpha^2 falls as a sigmoid from `start` to `end`, scaled to reach 1 and `floor` (Jabri et al., "Scalable Adaptive
    Computation for Iterative Generation", 2022; Chen, "On the Importance of Noise Scheduling for Diffusion Models",
    2023, section 2.1)."""

    start: float = -3.0
    end: float = 3.0
    temperature: float = 1.0
    floor: float = 1e-7

    def __post_init__(self) -> None:
        _positive(temperature=self.temperature, floor=self.floor)
        if not self.floor < 1:
            raise UserError(f"floor must lie below 1, got {self.floor}")
        if not self.start < self.end:
            raise UserError(f"start must lie below end, got start={self.start}, end={self.end}")

    def log_alpha(self, t: Tensor) -> Tensor:
        start, end = self.start / self.temperature, self.end / self.temperature
        scale = (1 - self.floor) / (_sigmoid(end) - _sigmoid(start))
        now = start + (end - start) * t
        # Differences of sigmoids as S(a) - S(b) = S(a) S(-b) (1 - exp(b - a)), which does not cancel: 1 - alpha^2 keeps
        # its digits near t = 0, and alpha^2 near t = 1.
        lost = scale * _sigmoid(-start) * now.sigmoid() * -torch.expm1(-(end - start) * t)
        kept = scale * _sigmoid(end) * (-now).sigmoid() * -torch.expm1(-(end - start) * (1 - t)) + self.floor
        return 0.5 * torch.where(lost < 0.5, torch.log1p(-lost.clamp_max(0.5)), kept.clamp_min(self.floor).log())


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@dataclass(frozen=True)
class Betas(VariancePreserving):
    """Any discrete chain, by its transition variances beta_1 ... beta_T (Ho et al., "Denoising Diffusion Probabilistic
    Models", 2020, eq. 2). Step i lives at t = i / T."""

    betas: tuple[float, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.betas:
            raise UserError("betas is empty: give at least one transition variance in (0, 1)")
        for i, beta in enumerate(self.betas):
            if not 0 < beta < 1:
                raise UserError(f"betas[{i}] = {beta}: each transition variance must lie strictly between 0 and 1")

    @property
    def num_steps(self) -> int:
        """The chain's length T."""
        return len(self.betas)

    @cached_property
    def _log_alphas(self) -> Tensor:
        steps = torch.log1p(-torch.tensor(self.betas, dtype=torch.float64))
        return torch.cat([torch.zeros(1, dtype=torch.float64), 0.5 * steps.cumsum(0)])

    def log_alpha(self, t: Tensor) -> Tensor:
        table = self._log_alphas.to(t)
        place = t * self.num_steps
        left = place.detach().floor().long().clamp(0, self.num_steps - 1)
        low = table[left]
        return low + (place - left) * (table[left + 1] - low)

    def time(self, log_snr: Tensor) -> Tensor:
        lost, table = _lost(log_snr.double()), -self._log_alphas.to(log_snr.device)
        right = torch.searchsorted(table, lost).clamp(1, self.num_steps)
        low = table[right - 1]
        place = right - 1 + (lost - low) / (table[right] - low)
        return (place / self.num_steps).clamp(0, 1).to(log_snr.dtype)


def linear_beta(*, num_steps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02) -> Betas:
    """Betas evenly spaced from beta_min to beta_max (Ho et al. 2020, section 4). They are not rescaled with T.

    Raises:
        UserError: fewer than two steps, or a beta outside (0, 1).
    """
    _at_least_two(num_steps)
    return Betas(tuple(torch.linspace(beta_min, beta_max, num_steps, dtype=torch.float64).tolist()))


def scaled_linear_beta(*, num_steps: int = 1000, beta_min: float = 0.00085, beta_max: float = 0.012) -> Betas:
    """Square roots of the betas evenly spaced: the chain that latent diffusion calls "linear" and Stable Diffusion
    "scaled linear" (Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", 2022).

    Raises:
        UserError: fewer than two steps, or a beta outside (0, 1).
    """
    _at_least_two(num_steps)
    roots = torch.linspace(beta_min**0.5, beta_max**0.5, num_steps, dtype=torch.float64)
    return Betas(tuple(roots.square().tolist()))


def cosine(*, num_steps: int = 1000, offset: float = 0.008, cap: float = 0.999) -> Betas:
    """alpha^2 follows a squared cosine, with betas capped (Nichol and Dhariwal, "Improved Denoising Diffusion
    Probabilistic Models", 2021, eq. 17).

    Raises:
        UserError: fewer than two steps.
    """
    _at_least_two(num_steps)
    t = torch.linspace(0, 1, num_steps + 1, dtype=torch.float64)
    bar = torch.cos((t + offset) / (1 + offset) * math.pi / 2).square()
    return Betas(tuple((1 - bar[1:] / bar[:-1]).clamp_max(cap).tolist()))


def _at_least_two(num_steps: int) -> None:
    if num_steps < 2:
        raise UserError(f"a chain needs num_steps of at least 2, got {num_steps}")


SCHEDULES: Registry[Callable[..., Schedule]] = Registry(
    "schedule",
    {
        "linear_beta": linear_beta,
        "scaled_linear_beta": scaled_linear_beta,
        "cosine": cosine,
        "sigmoid": Sigmoid,
        "vp": VP,
        "sub_vp": SubVP,
        "ve": VE,
        "edm": EDM,
        "rectified": Rectified,
        "betas": Betas,
    },
)
