r"""DEIS: the noise direction extrapolated, in the coordinate where the ODE has no linear part.

With y = x/alpha and rho = sigma/alpha, dy/drho = z, so

    x_s = alpha_s (x_t/alpha_t + sum_j w_j z_j),   w_j = int_{rho_t}^{rho_s} L_j(r) dr                             (1)

where L_j are the Lagrange polynomials of the last values' rho (Zhang and Chen, "Fast Sampling of Diffusion Models with
Exponential Integrator", 2022, section 3: the variant rho-AB).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from .exponential import integrate_lagrange
from .gaussian import Level, combine, levels


class _Past(NamedTuple):
    ended: Level
    rhos: tuple[float, ...]
    directions: tuple[Tensor, ...]


@dataclass(frozen=True)
class DEIS:
    """Equation (1); a step to t = 0 keeps its order, since rho ends there.

    Attributes:
        order: 1 to 3; the first steps, until enough values are known, are of lower order.
    """

    order: int = 3
    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise UserError(f"order must be 1, 2 or 3, got {self.order}")

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        past: _Past | None = carry
        _, now, then = levels(denoiser, t, s, past.ended if past else None)
        z = combine((1 / now.sigma, x), (-now.alpha / now.sigma, denoiser(x, t)))
        rhos: tuple[float, ...] = (now.rho,)
        directions: tuple[Tensor, ...] = (z,)
        if past:
            rhos, directions = rhos + past.rhos[: self.order - 1], directions + past.directions[: self.order - 1]
        length = then.rho - now.rho
        # In units of the step, whose own integral of u^k is 1/(k + 1).
        nodes = [(rho - now.rho) / length for rho in rhos]
        weights = integrate_lagrange(nodes, [1 / (k + 1) for k in range(len(nodes))])
        scale = then.alpha * length
        terms = [(scale * weight, direction) for weight, direction in zip(weights, directions, strict=True)]
        return combine((then.alpha / now.alpha, x), *terms), _Past(then, rhos, directions)
