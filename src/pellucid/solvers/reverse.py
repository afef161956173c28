r"""Solvers of the reverse SDE and the probability-flow ODE of any forward SDE dx = f(x, t) dt + G(t) dw.

Run backwards from t to s = t - h with the score of p_t (Anderson, "Reverse-Time Diffusion Equation Models", 1982; Song
et al., "Score-Based Generative Modeling through Stochastic Differential Equations", 2021, equations 6 and 13):

    dx = [f - G G^T score] dt + G dw~                                                                              (1)
    dx/dt = f - 1/2 G G^T score                                                                                    (2)

They know nothing of kernels, so they serve f that are not affine, and matrices. Where a kernel is known, solvers that
use it need fewer steps: `ancestral` on matrices, and those of `SOLVERS` on schedules. On a discrete chain, whose rates
jump in time, methods of order 2 fall to order 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..processes.base import Process
from ..processes.gaussian import Gaussian
from ..processes.matrix import MatrixGaussian
from ..processes.paths import SimulatedSDE
from ..processes.sde import Dynamics, Reverse, ScheduleSDE
from ..sde_denoisers import score_of
from .base import Solver


def dynamics(process: Process) -> Dynamics:
    """The forward SDE of a process.

    Raises:
        UserError: a process that has none.
    """
    if isinstance(process, Gaussian):
        return ScheduleSDE(process.schedule)
    if isinstance(process, MatrixGaussian | SimulatedSDE):
        return process.sde
    raise UserError(
        f"{type(process).__name__} is not the process of an SDE: this solver serves Gaussian, MatrixGaussian and "
        "SimulatedSDE; 'ancestral' serves all"
    )


def reverse(denoiser: Denoiser) -> Reverse:
    """The reverse SDE and the probability-flow ODE under a denoiser's score."""
    return Reverse(dynamics(denoiser.process), lambda x, t: score_of(denoiser, x, t))


@dataclass(frozen=True)
class ReverseEuler:
    """Euler and Maruyama's method on (1): x_s = x - h rate(x, t) + sqrt(h) G(t) z."""

    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        back, h = reverse(denoiser), (t - s).item()
        return x - h * back.rate(x, t) + math.sqrt(h) * back.spread(noise[0], t), carry


@dataclass(frozen=True)
class ReverseHeun:
    """Heun's method on (1), of weak order 2: the noise, with G at the step's middle, does not depend on the state
    (Kloeden and Platen, "Numerical Solution of Stochastic Differential Equations", 1992, section 15.1).

    A step that ends at t = 0, where the score of data on a thin set has no value, is Euler's.
    """

    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 2
    order: ClassVar[int] = 2

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        back, h = reverse(denoiser), (t - s).item()
        kick = math.sqrt(h) * back.spread(noise[0], (t + s) / 2)
        rate = back.rate(x, t)
        guess = x - h * rate + kick
        if s == 0:
            return guess, carry
        return x - 0.5 * h * (rate + back.rate(guess, s)) + kick, carry


@dataclass(frozen=True)
class FlowHeun:
    """Heun's method on (2). A step that ends at t = 0 is Euler's, as in `ReverseHeun`."""

    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 2
    order: ClassVar[int] = 2

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        back, h = reverse(denoiser), (t - s).item()
        velocity = back.flow(x, t)
        guess = x - h * velocity
        if s == 0:
            return guess, carry
        return x - 0.5 * h * (velocity + back.flow(guess, s)), carry


REVERSE_SOLVERS: Registry[Callable[..., Solver]] = Registry(
    "solver of any SDE", {"reverse-em": ReverseEuler, "reverse-heun": ReverseHeun, "flow-heun": FlowHeun}
)
