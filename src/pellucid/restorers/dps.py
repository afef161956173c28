r"""DPS: after each step, down the gradient of the data's misfit through the denoiser.

With r = y - A x_0(x_t), the state that a solver moved to is changed by

    x_s <- x_s - zeta/|r| grad_{x_t} |r|^2                                                                         (1)

(Chung et al., "Diffusion Posterior Sampling for General Noisy Inverse Problems", 2023, algorithm 1 with the step size
of their section D.1, zeta_i = zeta'/|r|). The gradient takes the denoiser's derivative; A need be no more than linear,
or linear behind a decoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.tensors import pad
from ..solvers.base import Solver
from .base import Around, Known, Observation, Wrapper, differentiable
from .within_range import within_range

_PATH = 100.0  # N zeta/sqrt(m): how far all N steps of (1) together may go, for each of m observed values


@dataclass(frozen=True)
class DPS(Wrapper):
    """Equation (1) around any solver's step.

    By (1) a step is about 2 zeta long, however small the misfit is, so with a zeta that starts well the state is shaken
    to the end. The authors have a thousand steps of zeta = 0.5 (in the form of (1)) for 64 x 64 x 3 observed values.
    For fewer of either, a step is cut here to the length of Polyak ("Introduction to Optimization", 1987, section 5.3)

        (|r|^2 - m noise^2)/|grad|^2 in place of zeta/|r|                                                          (2)

    at which a linear misfit comes near its expected size.

    Attributes:
        zeta: of equation (1); None for 100 sqrt(m)/N, with m observed values and N steps. (The authors' is 5 sqrt(m)/N.
            With the cut, on the exact law of digits, half of each seen with noise 0.01, in 100 steps, the error is 0.13
            with 100 and 0.31 with 5; a draw from the posterior has 0.10.)
        capped: whether (2) cuts. False for the paper's rule as it is.

    Raises:
        UserError: a zeta that is not positive.
    """

    zeta: float | None = None
    capped: bool = True
    posterior: ClassVar[bool] = False
    nonlinear: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.zeta is not None and not self.zeta > 0:
            raise UserError(f"zeta is a step size and must be positive, got {self.zeta}")

    def mover(self, solver: Solver, observation: Observation, times: Tensor) -> Solver:
        observation, values = within_range(observation)
        zeta = _PATH * math.sqrt(values) / (len(times) - 1) if self.zeta is None else self.zeta
        expected = values * observation.noise**2 if self.capped else -math.inf
        return _Descent(solver, observation, zeta, expected)


@dataclass(frozen=True, eq=False)
class _Descent(Around):
    """A solver's step and then (1); the estimate at the step's start serves both."""

    observation: Observation
    zeta: float
    expected: float

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        leaf, x0 = differentiable(denoiser, x, t, {})
        with torch.enable_grad():
            misfit = self.observation.residual(x0).flatten(1).square().sum(1)
            (gradient,) = torch.autograd.grad(misfit.sum(), leaf)
        misfit = misfit.detach()
        size = self.zeta / misfit.sqrt().clamp_min(1e-12)  # where nothing is amiss the gradient is zero too
        slope = gradient.flatten(1).square().sum(1).clamp_min(torch.finfo(misfit.dtype).tiny)
        size = torch.minimum(size, (misfit - self.expected).clamp_min(0) / slope)
        moved, carry = self.solver(Known(denoiser, x, t, x0.detach()), x, t, s, noise, carry)
        return moved - pad(size, moved) * gradient, carry
