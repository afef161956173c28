r"""p(y given x_t) by matched moments: the likelihood that steers, and weighs, a population of particles.

With D = E[x_0 | x_t], C = Cov[x_0 | x_t] = sigma^2/alpha dD/dx_t and p(x_0 | x_t) taken as N(D, C),

    p(y | x_t) = N(y; A D, S),   S = A C A' + noise^2 I                                                            (1)

Where a few clusters of the data are still possible at x_t, C is a small variance r^2 in all directions (the inside of a
cluster) and large in the few that part the clusters. So S is M = r^2 A A' + noise^2 I, which the operator's singular
system inverts, but for a few outlying eigenvalues. r^2 is the smallest Ritz value of C; Lanczos' method on
M^-1/2 S M^-1/2 from the whitened residual finds the outlying ones, and with them S^-1 (y - A D), the exponent and the
determinant of (1), in a few products with the denoiser's Jacobian. With as many steps as y has values (1) is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..operators.base import SingularSystem
from ..processes.gaussian import Gaussian
from .base import differentiable
from .krylov import lanczos
from .pigdm import levels

_LEAST = 1e-10  # of r^2


@dataclass(frozen=True, eq=False)
class Twist:
    """p(x_0 | x_t) and p(y | x_t) of some particles.

    Attributes:
        x0: v' D, (B, D): all of this is in the coordinates of the singular system.
        mean: v' E[x_0 | x_t, y].
        variance: r^2, (B, 1).
        log_prob: log p(y | x_t) of (1) in nats, but for a constant, (B,) float64.
        excess: the largest Ritz value of C above r^2, (B,): what keeps p(x_0 | x_t) from being a round normal law.
    """

    x0: Tensor
    mean: Tensor
    variance: Tensor
    log_prob: Tensor
    excess: Tensor

    def rows(self, index: Tensor) -> Twist:
        """Some particles."""
        return Twist(*(getattr(self, name)[index] for name in ("x0", "mean", "variance", "log_prob", "excess")))

    @classmethod
    def joined(cls, parts: list[Twist]) -> Twist:
        """Particles of several parts."""
        names = ("x0", "mean", "variance", "log_prob", "excess")
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def twist(
    process: Gaussian,
    denoiser: Denoiser,
    x: Tensor,
    t: Tensor,
    cond: dict[str, Any],
    *,
    system: SingularSystem,
    seen: Tensor,
    noise: float,
    probe: Tensor,
    steps: int,
) -> Twist:
    """Equation (1) at particles x, (B, *).

    Args:
        seen: u' y, (1, D).
        noise: its standard deviation, positive.
        probe: (1, *), normal: where Lanczos' method on C starts.
        steps: of Lanczos' method on the whitened S; 3 are made on C.
    """
    x, found = differentiable(denoiser, x, t, cond)
    _, gain = levels(process, t, x)
    values, kept = system.values.to(x), system.kept.to(x.device)

    def covariance(flat: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(found, x, flat.reshape(x.shape), retain_graph=True)
        return (gain * product).flatten(1)

    with torch.no_grad():
        inside = lanczos(covariance, probe.flatten(1).expand(len(x), -1), 3)
        least = inside.smallest().clamp_min(_LEAST)
        variance = least[:, None].to(x)
        total = variance * values.square() + noise**2
        white = torch.where(kept, total.rsqrt(), 0)

        def whitened(w: Tensor) -> Tensor:
            back = covariance(system.v_inverse(values * white * w).flatten(1))
            return white * (noise**2 * white * w + values * system.v(back.reshape(x.shape)))

        x0 = system.v(found)
        gap = white * (seen - values * x0)
        krylov = lanczos(whitened, gap, min(steps, int(kept.sum())))
        floor = noise**2 / (least * float(values.max()) ** 2 + noise**2)
        solved, square, outlying = krylov.solve(floor)
        log_det = (total.double().log() * kept).sum(1) + outlying
        shift = covariance(system.v_inverse(values * white * solved).flatten(1))
        return Twist(
            x0=x0.detach(),
            mean=(x0 + system.v(shift.reshape(x.shape))).detach(),
            variance=variance,
            log_prob=-0.5 * (square + log_det),
            excess=(inside.largest() - least).clamp_min(0),
        )
