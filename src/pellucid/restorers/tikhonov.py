r"""Tikhonov's regularisation: the x that explains y and is small.

    min |A x - y|^2 + weight |x|^2,   x = A' (A A' + weight I)^-1 y                                                (1)

(Tikhonov, "Solution of Incorrectly Formulated Problems and the Regularization Method", 1963). It is the mean of x given
y for data of law N(0, V I) and a weight of noise^2/V.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..solvers.base import Callback, Solver
from .base import Observation, Restorer
from .within_range import within_range

_LOWEST, _HIGHEST = -14.0, 8.0  # log10 of the weight relative to |A|^2 between which it is sought
_HALVINGS = 24  # of that interval: the weight is then known to 3e-6


@dataclass(frozen=True)
class Tikhonov(Restorer):
    """Equation (1): by the singular system, or by conjugate gradients.

    Attributes:
        weight: None for the discrepancy principle (Morozov, "On the Solution of Functional Equations by the Method of
            Regularization", 1966): each item's own, such that |A x - y| = noise sqrt(m) for the m values that A can
            explain. Without noise it is A+ y.

    Raises:
        UserError: a weight that is not positive.
    """

    weight: float | None = None
    posterior: ClassVar[bool] = False
    learned: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.weight is not None and not self.weight > 0:
            raise UserError(f"weight must be positive, got {self.weight}")

    def run(
        self,
        denoiser: Denoiser,
        observation: Observation,
        *,
        stream: Stream,
        times: Tensor,
        solver: Solver,
        callback: Callback | None = None,
        **cond: Any,
    ) -> Tensor:
        self.check(observation)
        operator, y = observation.operator, observation.y
        if self.weight is None and observation.noise == 0:
            return operator.pinv(y)
        weight: float | Tensor = discrepancy_weight(observation) if self.weight is None else self.weight
        return operator.adjoint(operator.gram_solve(y, noise_variance=weight))


def discrepancy_weight(observation: Observation) -> Tensor:
    """The weight of (1) for each item, (B,), at which the misfit is noise sqrt(m); the misfit grows with the weight.

    Where no weight fits, it is the nearest: the smallest for an item that A cannot explain so well, the largest for
    one that is smaller than its noise.
    """
    observation, rank = within_range(observation)
    operator, y = observation.operator, observation.y
    target = observation.noise**2 * rank
    scale = operator.norm() ** 2
    low = torch.full((len(y),), _LOWEST, dtype=torch.float64, device=y.device)
    high = torch.full_like(low, _HIGHEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        weight = scale * 10**middle
        # y - A x = weight (A A' + weight I)^-1 y.
        misfit = weight.square() * operator.gram_solve(y, noise_variance=weight).flatten(1).double().square().sum(1)
        low, high = torch.where(misfit < target, middle, low), torch.where(misfit < target, high, middle)
    return scale * 10 ** ((low + high) / 2)
