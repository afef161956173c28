r"""One-step solvers of the probability-flow ODE.

In the coordinates y = x/alpha and rho = sigma/alpha, the ODE of every Gaussian process is (Karras et al., "Elucidating
the Design Space of Diffusion-Based Generative Models", 2022, equations 1 and 4)

    dy/drho = z(x, t),   z = (x - alpha x_0(x, t)) / sigma                                                         (1)

so no schedule enters a method's error but through the grid. In x_0 a step of constant z reads
x_s = alpha_s x_0 + sigma_s z, which is regular at both ends of time. A Runge-Kutta method is its table:

    y_i = y + (rho_s - rho_t) sum_j a_ij z_j,   rho_i = rho_t + c_i (rho_s - rho_t),   c_i = sum_j a_ij            (2)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser
from ..processes.schedules import Schedule
from .gaussian import Level, at_level, combine, euler, level_of, levels


@dataclass(frozen=True)
class Euler:
    """Euler's method on (1), the same step as DDIM with eta = 0."""

    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        _, now, then = levels(denoiser, t, s, at_level(carry))
        return euler(x, denoiser(x, t), now, then), then


@dataclass(frozen=True)
class Heun:
    """Heun's method on (1): the trapezoid of the slopes at both ends (Karras et al. 2022, algorithm 1). Its last step,
    to t = 0, is Euler's."""

    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 2
    order: ClassVar[int] = 2

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        _, now, then = levels(denoiser, t, s, at_level(carry))
        return heun(denoiser, x, now, then), then


def heun(denoiser: Denoiser, x: Tensor, now: Level, then: Level) -> Tensor:
    """One step of Heun's method from one level to another."""
    x0 = denoiser(x, now.t)
    y = euler(x, x0, now, then)
    if then.sigma == 0:
        return y
    # The two slopes differ by alpha_s (x0 - x0_s)/sigma_s exactly; written so, nothing cancels at high noise.
    half = 0.5 * then.alpha * (now.rho / then.rho - 1)
    return combine((1.0, y), (half, denoiser(y, then.t)), (-half, x0))


Table = tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]  # the rows a_ij of stages 2 on, and the weights b_j

_MIDPOINT: Table = (((0.5,),), (0.0, 1.0))
_CLASSICAL: Table = (((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))


@dataclass(frozen=True)
class Midpoint:
    """The midpoint method on (1): the slope at half way in rho, also on the last step, to t = 0.

    Where the data are normal its leading error vanishes identically, and it is of third order.
    """

    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 2
    order: ClassVar[int] = 2

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        schedule, now, then = levels(denoiser, t, s, at_level(carry))
        return _runge_kutta(denoiser, schedule, x, now, then, _MIDPOINT), then


@dataclass(frozen=True)
class RK4:
    """The classical Runge-Kutta method of fourth order on (1) (Kutta, 1901).

    The slope has no value at zero noise, where the fourth stage would lie, so the last step, to t = 0, is a midpoint
    step of two calls.
    """

    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 4
    order: ClassVar[int] = 4

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        schedule, now, then = levels(denoiser, t, s, at_level(carry))
        table = _CLASSICAL if then.sigma > 0 else _MIDPOINT
        return _runge_kutta(denoiser, schedule, x, now, then, table), then


def _runge_kutta(denoiser: Denoiser, schedule: Schedule, x: Tensor, now: Level, then: Level, table: Table) -> Tensor:
    """Equation (2), one new level for each new c_i."""
    rows, weights = table
    length = then.rho - now.rho
    stops = {0.0: now, 1.0: then}
    slopes = [_slope(denoiser, x, now)]
    for row in rows:
        c = math.fsum(row)
        if c not in stops:
            stops[c] = level_of(schedule, now.rho + c * length)
        stage = stops[c]
        slopes.append(_slope(denoiser, _advance(x, now, stage, length, row, slopes), stage))
    return _advance(x, now, then, length, weights, slopes)


def _slope(denoiser: Denoiser, x: Tensor, level: Level) -> Tensor:
    return combine((1 / level.sigma, x), (-level.alpha / level.sigma, denoiser(x, level.t)))


def _advance(
    x: Tensor, now: Level, stage: Level, length: float, row: tuple[float, ...], slopes: list[Tensor]
) -> Tensor:
    terms = [(stage.alpha * length * a, slope) for a, slope in zip(row, slopes, strict=True)]
    return combine((stage.alpha / now.alpha, x), *terms)


@dataclass(frozen=True)
class DPMpp2S:
    """DPM-Solver++(2S): the exponential midpoint method, x_0 taken in the middle of the step in log-SNR (Lu et al.,
    "DPM-Solver++", 2022, algorithm 1 with r = 1/2). Its last step, to t = 0, is of first order."""

    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 2
    order: ClassVar[int] = 2

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        schedule, now, then = levels(denoiser, t, s, at_level(carry))
        x0 = denoiser(x, t)
        if then.sigma == 0:
            return euler(x, x0, now, then), then
        middle = level_of(schedule, math.sqrt(now.rho * then.rho))
        return euler(x, denoiser(euler(x, x0, now, middle), middle.t), now, then), then
