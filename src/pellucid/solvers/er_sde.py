r"""ER-SDE: an extended reverse SDE with a chosen scale of noise, and x_0 extrapolated over the noise level.

With y = x/alpha, rho = sigma/alpha and any scale phi that grows at least like rho, y has the right marginals if

    y_s = R y_t + phi(rho_s) int_{rho_s}^{rho_t} x_0(r) phi'(r)/phi(r)^2 dr + sqrt(rho_s^2 - rho_t^2 R^2) z,
    R = phi(rho_s)/phi(rho_t)                                                                                      (1)

(Cui et al., "Elucidating the Solution Space of Extended Reverse-Time SDE for Diffusion Models", 2023). phi = rho is the
probability-flow ODE, phi = rho^2 the reverse SDE; the default lies between them, near the ODE at low noise:

    phi(r) = r (e^(r^0.3) + 10)                                                                                    (2)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from .exponential import gauss_legendre, lagrange_values
from .gaussian import Level, combine, levels


class _Past(NamedTuple):
    ended: Level
    rhos: tuple[float, ...]
    values: tuple[Tensor, ...]


@dataclass(frozen=True)
class ERSDE:
    """Equation (1) with the polynomial in rho through the last `stages` values of x_0, by quadrature of the
    integral. A step to t = 0 is of first order.

    Attributes:
        stages: 1, 2 or 3, the order in the paper's sense: of the deterministic part. The weak order is at most 2, since
            a polynomial extrapolates through the noise.
    """

    stages: int = 3
    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.stages not in (1, 2, 3):
            raise UserError(f"ER-SDE has 1, 2 or 3 stages, got {self.stages}")

    @property
    def order(self) -> int:
        """The weak order."""
        return min(self.stages, 2)

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        past: _Past | None = carry
        _, now, then = levels(denoiser, t, s, past.ended if past else None)
        x0 = denoiser(x, t)
        rhos: tuple[float, ...] = (now.rho,)
        values: tuple[Tensor, ...] = (x0,)
        if past:
            rhos, values = rhos + past.rhos[: self.stages - 1], values + past.values[: self.stages - 1]
        carry = _Past(then, rhos, values)
        if then.sigma == 0:
            return combine((then.alpha, x0)), carry
        shrink = _phi(then.rho) / _phi(now.rho)
        weights = _weights(now.rho, then.rho, rhos)
        terms = [(then.alpha * weight, value) for weight, value in zip(weights, values, strict=True)]
        spread = math.sqrt(max(then.rho**2 - (now.rho * shrink) ** 2, 0.0))
        return combine((then.alpha * shrink / now.alpha, x), *terms, (then.alpha * spread, noise[0])), carry


def _phi(rho: float) -> float:
    """Equation (2)."""
    return rho * (math.exp(rho**0.3) + 10)


def _weights(start: float, end: float, rhos: tuple[float, ...]) -> list[float]:
    """The integral of (1) for each Lagrange polynomial of the given rhos; their sum is 1 - R, taken exactly."""
    v, weights = gauss_legendre(math.log(end), math.log(start))
    r = np.exp(v)
    growth = np.exp(r**0.3)
    density = weights * (growth * (1 + 0.3 * r**0.3) + 10) / (r * (growth + 10) ** 2)
    density *= (1 - _phi(end) / _phi(start)) / density.sum()
    weighted: list[float] = (lagrange_values(rhos, r) @ density).tolist()
    return weighted
