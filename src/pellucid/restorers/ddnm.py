r"""DDNM: what was seen is kept exactly, what was not is left to the denoiser.

Every x with A x = y is A+ y + (I - A+ A) z for some z. So each estimate of x_0 is moved to the nearest such x,

    E[x_0 given x_t, y] = A+ y + (I - A+ A) x_0 = x_0 + A+ (y - A x_0)                                             (1)

(Wang, Yu and Zhang, "Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model", 2022, eq. 13).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.base import Process
from ..processes.times import travel
from .base import Observation, Wrapper


@dataclass(frozen=True)
class Travelling(Wrapper):
    """A method that may go back in time and repeat stretches, so that what was not seen agrees with what was.

    Attributes:
        travel_length: how many steps one journey goes back.
        travel_repeats: how often each stretch is repeated; 0 for no time travel.

    Raises:
        UserError: a length below 1 or repeats below 0.
    """

    travel_length: int = 10
    travel_repeats: int = 0

    def __post_init__(self) -> None:
        if self.travel_length < 1 or self.travel_repeats < 0:
            raise UserError(
                f"time travel needs travel_length >= 1 and travel_repeats >= 0, "
                f"got {self.travel_length} and {self.travel_repeats}"
            )

    def grid(self, times: Tensor) -> Tensor:
        """The times with every stretch of `travel_length` steps repeated (Wang et al. 2022, algorithm 2)."""
        if self.travel_repeats == 0:
            return times
        return travel(times, length=self.travel_length, repeats=self.travel_repeats)


@dataclass(frozen=True)
class DDNM(Travelling):
    """Equation (1) at every call of the denoiser, under any solver.

    It takes y for exact: noise in y is kept, and amplified by A+. With noise use `DDNMPlus`.

    A solver's last step need not end on an estimate, so the result is moved by (1) once more: A x = y to round-off, or
    to the tolerance of A+.

    Source: Wang et al. 2022, algorithms 1 and 2.
    """

    posterior: ClassVar[bool] = False

    def wrap(self, denoiser: Denoiser, observation: Observation) -> Denoiser:
        return _Projected(denoiser, observation)

    def finish(self, x: Tensor, observation: Observation) -> Tensor:
        return project(x, observation)


def project(x: Tensor, observation: Observation) -> Tensor:
    """The point nearest to x of those that fit y best, equation (1): (B, *shape) to (B, *shape)."""
    return x + observation.operator.pinv(observation.residual(x))


@dataclass(frozen=True, eq=False)
class _Projected:
    """Equation (1) of a denoiser."""

    denoiser: Denoiser
    observation: Observation

    @property
    def process(self) -> Process:
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        return project(self.denoiser(x, t, **cond), self.observation)
