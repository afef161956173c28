r"""Guidance by a Gaussian approximation of p(x_0 given x_t) with one variance for all directions.

With D = E[x_0 | x_t] and p(x_0 | x_t) taken as N(D, r^2 I), y given x_t is N(A D, r^2 A A' + noise^2 I), whose score
passes through the denoiser's Jacobian J = dD/dx_t (symmetric, as a covariance is: C = sigma^2/alpha J), so

    E[x_0 | x_t, y] = D + sigma^2/alpha J A' (r^2 A A' + noise^2 I)^-1 (y - A D)                                   (1)
    r^2 = sigma^2 v / (alpha^2 v + sigma^2)                                                                        (2)

where v is the data's variance. For the law N(m, v I), C = r^2 I and (1) is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.gaussian import Gaussian
from ..solvers.gaussian import gaussian_process
from .base import Observation, Wrapper, differentiable


def levels(process: Gaussian, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma^2/alpha at t, to broadcast against x."""
    alpha, sigma = process.scales(t, x)
    # Straight paths have alpha = 0 at t = 1, where the denoiser's Jacobian is zero too.
    return alpha, sigma.square() / alpha.clamp_min(1e-8)


def spread(process: Gaussian, t: Tensor, variance: float) -> Tensor:
    """r^2 of equation (2), of t's shape: the variance of x_0 given x_t where the law of x_0 is N(m, variance I)."""
    alpha, sigma = process.schedule.alpha(t), process.schedule.sigma(t)
    return sigma.square() * variance / (alpha.square() * variance + sigma.square())


@dataclass(frozen=True)
class PiGDM(Wrapper):
    """Pseudo-inverse guidance, equation (1): one call of the denoiser and one product with its Jacobian.

    Attributes:
        data_variance: v of (2), the variance of one value of the data.

    Raises:
        UserError: a variance that is not positive.

    Source: Song et al., "Pseudoinverse-Guided Diffusion Models for Inverse Problems", 2023, equations 7 and 8.
    """

    data_variance: float = 1.0
    posterior: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.data_variance < float("inf"):
            raise UserError(f"data_variance must be a positive number, got {self.data_variance}")

    def wrap(self, denoiser: Denoiser, observation: Observation) -> Denoiser:
        return _PiGDM(gaussian_process(denoiser), denoiser, observation, self.data_variance)


@dataclass(frozen=True)
class _PiGDM:
    process: Gaussian
    inner: Denoiser
    seen: Observation
    data_variance: float

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        x, x0 = differentiable(self.inner, x, t, cond)
        _, gain = levels(self.process, t, x)
        with torch.no_grad():
            variance = spread(self.process, t, self.data_variance).to(x)
            solved = self.seen.operator.gram_solve(
                self.seen.residual(x0), noise_variance=self.seen.noise**2, scale=variance
            )
            pull = self.seen.operator.adjoint(solved)
        (guide,) = torch.autograd.grad(x0, x, pull)
        return (x0 + gain * guide).detach()
