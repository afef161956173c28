r"""Multistep with x_0 as a polynomial in q = asinh(rho/scale), rho = sigma/alpha.

The exponential methods of `multistep` take x_0 as a polynomial in lambda = -log rho, DEIS takes z as one in rho. At
high noise x_0 changes with log rho, at low noise with rho, and t = 0 lies at lambda = infinity, where the polynomial
has no value. q is both: log(2 rho/scale) where rho is large, rho/scale where it is small, 0 at t = 0. So one polynomial
serves all the way, steps may be long at both ends, and the last step, to t = 0, keeps the order. The weights are the
integrals

    w_j = int e^(-c v) L_j(q(e^v)) dv / int e^(-c v) dv,   v = log rho from rho_s to rho_t,   c = 1 + eta          (1)

(equation 2 of `exponential` in v = -l) by Gauss and Legendre's rule; at rho_s = 0, L_j(0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from .exponential import gauss_legendre, lagrange_values
from .gaussian import Level
from .multistep import multistep
from .sde import checked_eta


@dataclass(frozen=True)
class AsinhAdams:
    """Predictor and corrector of Adams type with the weights (1); one call of the denoiser in each step.

    The corrector runs through one value more than the predictor and costs no further call.

    Attributes:
        steps: how many values of x_0 the predictor runs through, 1 to 4.
        scale: the noise at which q turns from linear to logarithmic: about the data's standard deviation.
        eta: rate of fresh noise: 0 for the probability-flow ODE, 1 for the reverse SDE.
    """

    steps: int = 4
    scale: float = 2.0
    eta: float = 0.0
    evaluations: ClassVar[int] = 1

    def __post_init__(self) -> None:
        checked_eta(self.eta)
        if self.steps not in (1, 2, 3, 4) or not self.scale > 0:
            raise UserError(f"steps must be 1 to 4 and scale positive, got {self.steps} and {self.scale}")

    @property
    def draws(self) -> int:
        """None for the ODE."""
        return 1 if self.eta else 0

    @property
    def order(self) -> int:
        """One more than the predictor's for the ODE; the weak order 2 with noise."""
        return 2 if self.eta else self.steps + 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        return multistep(
            denoiser,
            x,
            t,
            s,
            noise,
            carry,
            predictor=self.steps,
            corrector=self.steps + 1,
            eta=self.eta,
            shares=self._shares,
        )

    def _shares(self, lams: Sequence[float], now: Level, then: Level, eta: float) -> list[float]:
        if len(lams) == 1 or (eta and then.sigma == 0):
            # With noise the last step is of first order: to extrapolate to t = 0 would add the noise up.
            return [1.0] + [0.0] * (len(lams) - 1)
        nodes = [math.asinh(math.exp(-lam) / self.scale) for lam in lams]
        if then.sigma == 0:
            return lagrange_values(nodes, np.zeros(1))[:, 0].tolist()
        v, weights = gauss_legendre(-then.lam, -now.lam)
        density = weights * np.exp(-(1 + eta) * (v + then.lam))
        density /= density.sum()
        return (lagrange_values(nodes, np.arcsinh(np.exp(v) / self.scale)) @ density).tolist()
