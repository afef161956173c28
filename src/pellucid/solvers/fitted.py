r"""A solver whose coefficients and times were learned for one model and one number of steps.

Every multistep method is linear in what it knows,

    x_s = a_i x_t + sum_j b_ij x_0^(i-j),   j = 0 ... k - 1,                                                       (1)

with the last k estimates x_0. Published methods choose a and b to be right for all smooth flows as steps go to zero; at
few steps on one model, the a and b that are right for its own flow are better, and least squares finds them. `fit` does
so. (Learning a solver from a model's accurate trajectories is the idea of Frankel et al., "S4S: Solving for a Diffusion
Model Solver", 2025; here each step has a closed form.)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from .gaussian import combine, gaussian_process


@dataclass(frozen=True)
class Fitted:
    """Equation (1) on its own time grid.

    Attributes:
        times: the grid, from 1 to 0.
        weights: for each step (a, b_0, b_1, ...), at most k of the b.

    Raises:
        UserError: weights that do not fit the grid; when called between other times than its own neighbours.
    """

    times: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        falling = all(t > s for t, s in pairwise(self.times))
        if len(self.weights) != len(self.times) - 1 or not falling or any(len(w) < 2 for w in self.weights):
            raise UserError(
                f"a fitted solver needs falling times and weights (a, b_0, ...) for each step, got {len(self.times)} "
                f"times and {len(self.weights)} steps"
            )

    @property
    def grid(self) -> Tensor:
        """The times to run it on, (steps + 1,), float64."""
        return torch.tensor(self.times, dtype=torch.float64)

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        gaussian_process(denoiser)
        weights = self.weights[self._step(t.item(), s.item())]
        known = (denoiser(x, t), *(carry or ()))[: len(weights) - 1]
        if len(known) < len(weights) - 1:
            raise UserError(
                "a fitted solver runs its own grid from the start: pass times=solver.grid, without time travel"
            )
        return combine(*zip(weights, (x, *known), strict=True)), known

    def _step(self, t: float, s: float) -> int:
        for i, (start, end) in enumerate(pairwise(self.times)):
            # A grid may have passed through float32 on its way.
            if abs(start - t) <= 1e-6 * start and abs(end - s) <= 1e-6 * start:
                return i
        raise UserError(f"a fitted solver has no step from {t:g} to {s:g}: pass times=solver.grid")

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them back."""
        return {"times": list(self.times), "weights": [list(w) for w in self.weights]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Fitted:
        """The solver that `to_json` wrote."""
        return cls(tuple(map(float, values["times"])), tuple(tuple(map(float, w)) for w in values["weights"]))
