r"""One scheme for the convex methods: min over x of F(A x) + R(W x), both convex, by primal and dual steps.

With K = (A, W), f = (F, R), and steps tau sigma |K|^2 < 1,

    p <- prox_{sigma f*}(p + sigma K (2 x - x_before)),   x_before <- x,   x <- x - tau K' p                       (1)

(Chambolle and Pock, "A First-Order Primal-Dual Algorithm for Convex Problems with Applications to Imaging", 2011,
algorithm 1 with theta = 1). It asks of A for A and A' alone. The data's part is either

    F(z) = 0 where |z - y| <= radius, else infinite                                                                (2)
    F(z) = |z - y|^2/(2 weight)                                                                                    (3)

(2) with radius = noise sqrt(m), the expected size of the noise in the m values that A can explain, is Morozov's
discrepancy principle: of all x that explain y as well as the noise allows, the one of least R. No weight has to be
chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.tensors import pad
from .base import Observation
from .within_range import within_range

Map = Callable[[Tensor], Tensor]

# The primal step over the dual one. For values in [-1, 1] short primal steps are best: on photographs, masked, blurred,
# pooled or noisy, 100 iterations at 0.1 come nearer than 1000 at 1.
_BALANCE = 0.1


@dataclass(frozen=True, eq=False)
class Regulariser:
    """R(W x) = the sum over places of the length of W x there.

    Attributes:
        analysis, adjoint: W and W', (B, *shape) to (B, *) and back.
        clip: cuts every length to at most 1: the projection that is prox of R*, (B, *) to (B, *).
        norm: an upper bound of |W|.
    """

    analysis: Map
    adjoint: Map
    clip: Map
    norm: float


@dataclass(frozen=True)
class Scheme:
    """How (1) is run.

    Attributes:
        iterations: at most.
        tolerance: an item stops where neither x nor p moves by more than this share of its length in one iteration.
    """

    iterations: int = 500
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if self.iterations < 1 or not self.tolerance >= 0:
            raise UserError(f"iterations >= 1 and tolerance >= 0, got {self.iterations} and {self.tolerance}")

    def solve(self, observation: Observation, regulariser: Regulariser, *, weight: float | None) -> Tensor:
        """The minimiser, (B, *shape): with (3) for a weight, with (2) and the discrepancy principle for None."""
        observation, rank = within_range(observation)
        operator, y = observation.operator, observation.y
        radius = observation.noise * math.sqrt(rank)
        # A in units where it is as large as W, so that one pair of steps suits both.
        unit = regulariser.norm / (operator.norm() * 1.01 or 1.0)  # power iteration falls a little short
        y, radius = y * unit, radius * unit
        step = 1 / (math.sqrt(2) * regulariser.norm)
        tau, sigma = step * _BALANCE, step / _BALANCE
        x = operator.adjoint(y) * (unit / regulariser.norm**2)
        ahead = x
        dual_data, dual = torch.zeros_like(y), torch.zeros_like(regulariser.analysis(x))
        moving = torch.ones(len(y), dtype=torch.bool, device=y.device)
        for _ in range(self.iterations):
            raised = dual_data + sigma * unit * operator.forward(ahead)
            if weight is None:
                raised = raised - sigma * (y + _shorten(raised / sigma - y, radius))
            else:
                raised = (raised - sigma * y) / (1 + sigma * weight * unit**2)
            clipped = regulariser.clip(dual + sigma * regulariser.analysis(ahead))
            new = x - tau * (unit * operator.adjoint(raised) + regulariser.adjoint(clipped))
            # An item that has arrived stays, whatever the rest of its batch still does. The multipliers must have
            # arrived too: x alone may stand still where it turns back.
            settled = _still(x, new, self.tolerance) & _still(dual_data, raised, self.tolerance)
            settled = settled & _still(dual, clipped, self.tolerance)
            ahead, x = 2 * new - x, torch.where(pad(moving, new), new, x)
            dual_data, dual = raised, clipped
            moving = moving & ~settled
            if not bool(moving.any()):
                break
        return x


def _still(before: Tensor, after: Tensor, tolerance: float) -> Tensor:
    """Which items moved by no more than a share of their length, (B,)."""
    return (after - before).flatten(1).norm(dim=1) <= tolerance * after.flatten(1).norm(dim=1)


def _shorten(z: Tensor, radius: float) -> Tensor:
    """Each item cut to at most a length."""
    length = z.flatten(1).norm(dim=1).clamp_min(torch.finfo(z.dtype).tiny)
    return z * pad((radius / length).clamp_max(1), z)
