r"""The one learned contract: a denoiser gives E[x_0 given x_t], whatever its network predicts.

Every prediction target in use is affine in the clean data, given x_t:

    x_0 = skip(t) x_t + out(t) F(in(t) x_t, c_t)                                                                   (1)

so a target is three functions of alpha and sigma, and only this module knows of them. The network is told the noise
level as c_t = log(sigma_t / alpha_t) / 4 (Karras et al., "Elucidating the Design Space of Diffusion-Based Generative
Models", 2022, table 1): the same quantity on every schedule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from .foundations.errors import UserError
from .foundations.registry import Registry
from .foundations.tensors import pad
from .nn.spec import PRESENCE
from .processes.base import Process
from .processes.gaussian import Gaussian
from .processes.schedules import Betas


@runtime_checkable
class Denoiser(Protocol):
    """`denoiser(x, t, **cond)`: x of shape (B, *), t of shape () or (B,); returns E[x_0 given x_t], shape (B, *)."""

    @property
    def process(self) -> Process:
        """The forward process it undoes."""
        ...

    # `*args` is never used: with it a type checker takes a denoiser that names its conditions, such as label=None.
    def __call__(self, x: Tensor, t: Tensor, *args: Any, **cond: Any) -> Tensor: ...


@runtime_checkable
class LearnedVariance(Protocol):
    """A denoiser that also knows how wide its reverse step is."""

    def moments(self, x: Tensor, t: Tensor, **cond: Any) -> tuple[Tensor, Tensor]:
        """E[x_0 given x_t] and v in [0, 1], shape (B, *): the log-variance of a reverse step is v times its upper plus
        1 - v times its lower bound (Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021,
        eq. 15)."""
        ...


class Target(ABC):
    """What a network predicts: the coefficients (skip, out, in) of equation (1)."""

    @abstractmethod
    def coefficients(self, process: Gaussian, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(skip, out, in) at times t of shape () or (B,), of the same shape."""

    def _scales(self, process: Gaussian, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        alpha, sigma = process.schedule.alpha(t), process.schedule.sigma(t)
        return alpha, sigma, torch.ones_like(alpha)


@dataclass(frozen=True)
class X0(Target):
    """F = x_0."""

    def coefficients(self, process: Gaussian, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        _, _, one = self._scales(process, t)
        return torch.zeros_like(one), one, one


@dataclass(frozen=True)
class Eps(Target):
    """F = (x_t - alpha x_0)/sigma, the noise (Ho et al. 2020, eq. 11). Ill-conditioned where alpha goes to 0."""

    def coefficients(self, process: Gaussian, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        alpha, sigma, one = self._scales(process, t)
        return 1 / alpha, -sigma / alpha, one


@dataclass(frozen=True)
class V(Target):
    """F = alpha eps - sigma x_0 (Salimans and Ho, "Progressive Distillation for Fast Sampling", 2022)."""

    def coefficients(self, process: Gaussian, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        alpha, sigma, one = self._scales(process, t)
        square = alpha.square() + sigma.square()
        return alpha / square, -sigma / square, one


@dataclass(frozen=True)
class Score(Target):
    """F = grad log p_t(x_t) = (alpha x_0 - x_t)/sigma^2 (Tweedie's formula; Song et al. 2021)."""

    def coefficients(self, process: Gaussian, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        alpha, sigma, one = self._scales(process, t)
        return 1 / alpha, sigma.square() / alpha, one


@dataclass(frozen=True)
class Flow(Target):
    """F = eps - x_0, the straight path's velocity (Lipman et al., "Flow Matching for Generative Modeling", 2022)."""

    def coefficients(self, process: Gaussian, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        alpha, sigma, one = self._scales(process, t)
        return 1 / (alpha + sigma), -sigma / (alpha + sigma), one


@dataclass(frozen=True)
class Mu(Target):
    """F = the mean of q(x_{t - 1/T} given x_t, x_0) of a chain of T steps (Ho et al. 2020, eq. 7).

    Needs t >= 1/T. On the first step the mean is x_0 itself.
    """

    def coefficients(self, process: Gaussian, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if not isinstance(process.schedule, Betas):
            raise UserError(
                "the target 'mu' needs a discrete chain: use linear_beta, scaled_linear_beta, cosine or betas"
            )
        alpha_t, sigma_t, one = self._scales(process, t)
        s = (t - 1 / process.schedule.num_steps).clamp_min(0)
        alpha_s, sigma_s, _ = self._scales(process, s)
        from_x = alpha_t * sigma_s.square() / (alpha_s * sigma_t.square())
        from_x0 = alpha_s - alpha_t * from_x
        return -from_x / from_x0, 1 / from_x0, one


@dataclass(frozen=True)
class EDM(Target):
    """Inputs, outputs and targets of unit variance for data of standard deviation sigma_data (Karras et al. 2022,
    section 5, appendix B.6), on any schedule."""

    sigma_data: float = 0.5

    def coefficients(self, process: Gaussian, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        alpha, sigma, _ = self._scales(process, t)
        total = (alpha * self.sigma_data).square() + sigma.square()
        scale = total.rsqrt()
        return alpha * self.sigma_data**2 / total, sigma * self.sigma_data * scale, scale


TARGETS: Registry[Callable[..., Target]] = Registry(
    "target", {"x0": X0, "eps": Eps, "v": V, "score": Score, "flow": Flow, "mu": Mu, "edm": EDM}
)

_LOWEST_NOISE = 1e-5  # sigma / alpha that the network is told at t = 0, where the logarithm has none


class NetworkDenoiser(nn.Module):
    """A network and what it predicts, seen as a denoiser of a Gaussian process.

    Attributes:
        network: called as network(x, c, **cond), c of shape (B,); returns (B, *), or (B, 2C, ...) with a learned
            variance, whose second half is then 2 v - 1.
        process: the Gaussian process it undoes.
        target: what the network predicts.
        learned_variance: whether its output carries v of `LearnedVariance`.
        told: c as an elementwise function of t, for a network that was trained elsewhere; log(sigma/alpha)/4 if None.
    """

    def __init__(
        self,
        network: nn.Module,
        process: Gaussian,
        target: Target,
        *,
        learned_variance: bool = False,
        told: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.target = target
        self.learned_variance = learned_variance
        self.told = told

    def noise_level(self, t: Tensor) -> Tensor:
        """What the network is told of the time: `told`, or log(sigma/alpha)/4, finite at t = 0."""
        if self.told is not None:
            return self.told(t)
        schedule = self.process.schedule
        return (schedule.sigma(t) / schedule.alpha(t)).clamp_min(_LOWEST_NOISE).log() / 4

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """E[x_0 given x_t]: x of shape (B, *), t of shape () or (B,), in float32 outside autocast."""
        return self._predict(x, t, cond)[0]

    def moments(self, x: Tensor, t: Tensor, **cond: Any) -> tuple[Tensor, Tensor]:
        """`LearnedVariance.moments`; an error where the network was not made for it."""
        x0, extra = self._predict(x, t, cond)
        if extra is None:
            raise UserError("this denoiser learned no variance: train it with learned_variance, or use a fixed one")
        return x0, (extra + 1) / 2

    def _predict(self, x: Tensor, t: Tensor, cond: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        x0, extra = self._affine(x, t, cond)
        there = cond.get(PRESENCE)
        # What is not there stands at zero: it costs nothing in a loss, and tells nothing.
        return (x0 if there is None else x0 * there.to(x0)), extra

    def _affine(self, x: Tensor, t: Tensor, cond: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        # Arithmetic with alpha and sigma stays in the data's precision: at small sigma it cancels, and half precision
        # would lose what is left.
        skip, out, scale = self.target.coefficients(self.process, t)
        output = self.network(pad(scale, x) * x, self.noise_level(t).to(x).expand(len(x)), **cond).to(x.dtype)
        extra = None
        if self.learned_variance:
            output, extra = output.chunk(2, dim=1)
        if t.ndim == 0:
            # One pass less over the data: a scalar multiplies while it adds.
            return torch.add(output * out.item(), x, alpha=skip.item()), extra
        return pad(skip, x) * x + pad(out, x) * output, extra


def wrap(
    network: Callable[..., Tensor],
    process: Gaussian,
    target: Target | str,
    *,
    learned_variance: bool = False,
    told: Callable[[Tensor], Tensor] | None = None,
) -> NetworkDenoiser:
    """A denoiser from any module, or any function, called as network(x, c, **cond).

    A module's parameters become the denoiser's own.

    Args:
        network: x of shape (B, *), c of shape (B,); returns what `target` says.
        process: the Gaussian process it was trained on.
        target: a `Target` or a name among `TARGETS`.
        learned_variance: whether the output carries a variance, as in `NetworkDenoiser`.
        told: c as a function of t in [0, 1], such as `lambda t: 1000 * t - 1` for the index of a chain's step;
            log(sigma/alpha)/4 if absent.

    >>> from pellucid import SCHEDULES, Gaussian
    >>> denoiser = wrap(lambda x, c: 0 * x, Gaussian(SCHEDULES["vp"]()), "x0")
    >>> denoiser(torch.ones(1, 2), torch.tensor(0.5))
    tensor([[0., 0.]])
    """
    module = network if isinstance(network, nn.Module) else _Function(network)
    prediction = TARGETS[target]() if isinstance(target, str) else target
    return NetworkDenoiser(module, process, prediction, learned_variance=learned_variance, told=told)


class _Function(nn.Module):
    """A function as a module without parameters."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Tensor, c: Tensor, **cond: Any) -> Tensor:
        return self._function(x, c, **cond)


def eps_from_x0(process: Gaussian, x: Tensor, x0: Tensor, t: Tensor) -> Tensor:
    """The noise direction z = (x_t - alpha x_0)/sigma that a denoised estimate implies."""
    alpha, sigma = process.scales(t, x)
    return (x - alpha * x0) / sigma


def score_from_x0(process: Gaussian, x: Tensor, x0: Tensor, t: Tensor) -> Tensor:
    """The score (alpha x_0 - x_t)/sigma^2 that a denoised estimate implies (Tweedie's formula)."""
    alpha, sigma = process.scales(t, x)
    return (alpha * x0 - x) / sigma.square()
