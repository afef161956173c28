r"""A generative prior: of all things the model makes, the one that explains y.

    x = G(w),   w = argmin |A G(w) - y|^2 + weight |w|^2                                                           (1)

with G the sampler's deterministic map from noise to data, in few steps (Bora et al., "Compressed Sensing using
Generative Models", 2017, equation 1, for a G of their kind). With weight = noise^2, w is the mode of p(w given y) for
w ~ N(0, I).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..processes.times import asinh
from ..solvers.base import Callback, Solver
from ..solvers.gaussian import gaussian_process
from ..solvers.ode import Euler
from .base import Observation, Restorer


@dataclass(frozen=True)
class LatentCode(Restorer):
    """Equation (1) by Adam's method from the stream's noise, through the sampler. The solver and grid that are given
    are for many steps and not used.

    Attributes:
        steps: of the sampler G; each iteration calls the denoiser so often, and its derivative.
        iterations: of Adam's method, for each start.
        learning_rate: at first; it falls to zero as a cosine.
        restarts: starts in all; each item keeps the one that ends lowest in (1). On the exact law of digits one start
            often ends in the wrong digit, and the best of four has about half its error.
        weight: None for noise^2.

    Raises:
        UserError: numbers out of range.
    """

    steps: int = 10
    iterations: int = 100
    learning_rate: float = 0.3
    restarts: int = 1
    weight: float | None = None
    posterior: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if min(self.steps, self.iterations, self.restarts) < 1 or not self.learning_rate > 0:
            raise UserError(
                f"steps, iterations and restarts must be at least 1 and learning_rate positive, got {self.steps}, "
                f"{self.iterations}, {self.restarts} and {self.learning_rate}"
            )
        if self.weight is not None and not self.weight >= 0:
            raise UserError(f"weight must be 0 or more, got {self.weight}")

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
        process = gaussian_process(denoiser)
        shape = observation.operator.bound_shape
        starts = process.draw(stream, shape, step=0, num_draws=self.restarts)[0].to(observation.y)
        best, lowest = None, None
        for w in starts:
            x, objective = self._descend(denoiser, observation, w, callback, cond)
            if best is None or lowest is None:
                best, lowest = x, objective
                continue
            better = objective < lowest
            best = torch.where(better.reshape(-1, *(1 for _ in shape)), x, best)
            lowest = torch.minimum(objective, lowest)
        assert best is not None
        return best

    def _descend(
        self,
        denoiser: Denoiser,
        observation: Observation,
        start: Tensor,
        callback: Callback | None,
        cond: dict[str, Any],
    ) -> tuple[Tensor, Tensor]:
        """Where one start ends, and its objective, (B,). Items do not meet: Adam's method works on each value."""
        weight = observation.noise**2 if self.weight is None else self.weight
        w = start.clone()
        optimiser = torch.optim.Adam([w], lr=self.learning_rate)
        with torch.enable_grad():
            w.requires_grad_()
            for i in range(self.iterations):
                optimiser.param_groups[0]["lr"] = self.learning_rate * (1 + math.cos(math.pi * i / self.iterations)) / 2
                x = generate(denoiser, w, self.steps, cond)
                # Gradients of w alone: the network's own parameters get none.
                (w.grad,) = torch.autograd.grad(_objective(observation, x, w, weight).sum(), w)
                optimiser.step()
                if callback is not None:
                    callback(i, torch.zeros(()), torch.zeros(()), x.detach())
        with torch.no_grad():
            x = generate(denoiser, w, self.steps, cond)
            return x, _objective(observation, x, w, weight)


def generate(denoiser: Denoiser, w: Tensor, steps: int, cond: dict[str, Any]) -> Tensor:
    """G(w): Euler's method on the probability-flow ODE from standard normal w, (B, *); differentiable.

    Methods of higher order are nearer to the ODE in many steps, but in few their extrapolations make a rougher G, which
    is harder to descend on.
    """

    class Conditioned:
        process = denoiser.process

        def __call__(self, x: Tensor, t: Tensor, **_: Any) -> Tensor:
            return denoiser(x, t, **cond)

    process, solver = gaussian_process(denoiser), Euler()
    x, carry, blank = process.prior(w), None, w.new_empty((0, *w.shape))
    for t, s in pairwise(asinh(process.schedule, steps).unbind()):
        x, carry = solver(Conditioned(), x, t, s, blank, carry)
    return x


def _objective(observation: Observation, x: Tensor, w: Tensor, weight: float) -> Tensor:
    """Equation (1), (B,)."""
    return observation.residual(x).flatten(1).square().sum(1) + weight * w.flatten(1).square().sum(1)
