r"""Dormand and Prince's method of order 5 with an embedded error estimate, on dy/drho = z (equation 1 of `ode`).

A step from t to s takes as many substeps as the tolerance asks for, each item its own, so that no item depends on the
rest of its batch. The last slope of an accepted substep is the first of the next ("first same as last"). With the
scaled error

    err = rms(e/(atol + rtol max(|y|, |y_new|)))                                                                   (1)

a substep is accepted where err <= 1, and the next length is the last one times 0.9 err^(-0.7/5) err_before^(0.4/5),
kept between 1/5 and 5 (Hairer, Norsett and Wanner, "Solving Ordinary Differential Equations I", 1993, sections II.4 and
II.5; Hairer and Wanner, part II, 1996, section IV.2 for the exponents).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.tensors import pad
from ..processes.gaussian import Gaussian
from .gaussian import gaussian_process

_C = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_A = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# The fifth-order weights, which are the last row, minus the embedded fourth-order ones.
_E = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


class Progress(NamedTuple):
    """What the next step remembers.

    Attributes:
        lengths: the substep length in rho that each item would try next, float64 on the CPU, (B,).
        errors: each item's last scaled error, (B,).
        slope: z at the end of the step, (B, *); None after a step to t = 0.
        evaluations: calls of the denoiser since the start.
    """

    lengths: Tensor
    errors: Tensor
    slope: Tensor | None
    evaluations: int


@dataclass(frozen=True)
class Dopri5:
    """Substeps with error control between the two times of a step: the grid decides where it stops, not how well.

    A step to t = 0, where the slope has no value, is integrated to rho = 0.1 sqrt(atol), where the rest is below atol,
    and ends with the denoised estimate there, which costs no further call.

    Attributes:
        rtol, atol: the tolerance of one substep, relative and absolute, on x/alpha. In float32 less than about 1e-6
            only costs calls.
        max_substeps: of one step; more raises a UserError.
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    max_substeps: int = 10_000
    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 6  # of one substep; a sample needs many: `Progress.evaluations` has the count
    order: ClassVar[int] = 5

    def __post_init__(self) -> None:
        if not (self.rtol >= 0 and self.atol > 0 and self.max_substeps >= 1):
            raise UserError(
                "rtol must be 0 or more, atol positive and max_substeps at least 1, "
                f"got {self.rtol}, {self.atol} and {self.max_substeps}"
            )

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        before: Progress | None = carry
        flow = _Flow(denoiser, gaussian_process(denoiser), x)
        start, end = flow.rho(t), flow.rho(s)
        goal = end if end > 0 else min(start, 0.1 * math.sqrt(self.atol))
        rho = torch.full((len(x),), start, dtype=torch.float64)
        y = x / flow.process.schedule.alpha(t).item()
        lengths = before.lengths.clone() if before else 0.2 * rho
        errors = before.errors.clone() if before else torch.ones_like(rho)
        slope = before.slope if before and before.slope is not None else flow(y, rho)
        for _ in range(self.max_substeps):
            left = rho - goal
            if not bool((left > 0).any()):
                break
            steps = torch.minimum(lengths, left)
            y_new, slope_new, scaled = self._substep(flow, y, rho, steps, slope)
            accepted = (scaled <= 1) & (left > 0)
            keep = pad(accepted, y).to(y.device)
            y, slope = torch.where(keep, y_new, y), torch.where(keep, slope_new, slope)
            # The goal itself, not rho - left with its round-off: the loop ends when every item is there.
            rho = torch.where(accepted, torch.where(steps >= left, goal, rho - steps), rho)
            safe = scaled.clamp_min(1e-10)
            growth = 0.9 * safe ** (-0.7 / 5) * errors ** (0.4 / 5)
            shrink = (0.9 * safe ** (-1 / 5)).clamp_max(1)
            factor = torch.where(scaled <= 1, growth, shrink).clamp(0.2, 5)
            # A substep cut short by the goal says only that the length may be at least what it was.
            proposal = torch.where(accepted & (steps < lengths), torch.maximum(lengths, steps * factor), steps * factor)
            lengths = torch.where(left > 0, proposal, lengths)
            errors = torch.where(accepted, safe, errors)
        else:
            raise UserError(
                f"dopri5 did not reach the tolerance in {self.max_substeps} substeps: raise rtol and atol "
                f"(now {self.rtol} and {self.atol}), or compute in float64"
            )
        calls = flow.calls + (before.evaluations if before else 0)
        if end == 0:
            return y - goal * slope, Progress(lengths, errors, None, calls)
        return flow.process.schedule.alpha(s).item() * y, Progress(lengths, errors, slope, calls)

    def _substep(
        self, flow: _Flow, y: Tensor, rho: Tensor, steps: Tensor, slope: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The new state, its slope, and the scaled error (1) of each item, float64 on the CPU."""
        slopes, y_new = [slope], y
        lengths = pad(-steps.to(y), y)
        for c, row in zip(_C[1:], _A, strict=True):
            y_new = y + lengths * sum(a * z for a, z in zip(row, slopes, strict=True) if a)
            slopes.append(flow(y_new, rho - c * steps))
        error = lengths * sum(e * z for e, z in zip(_E, slopes, strict=True) if e)
        scale = self.atol + self.rtol * torch.maximum(y.abs(), y_new.abs())
        scaled = (error / scale).flatten(1).square().mean(1).sqrt().double().cpu()
        return y_new, slopes[-1], torch.where(scaled.isfinite(), scaled, 1e10)


class _Flow:
    """z as a function of y and of each item's rho; counts its calls."""

    def __init__(self, denoiser: Denoiser, process: Gaussian, x: Tensor) -> None:
        self.denoiser, self.process, self.like, self.calls = denoiser, process, x, 0

    def rho(self, t: Tensor) -> float:
        return (self.process.schedule.sigma(t) / self.process.schedule.alpha(t)).item()

    def __call__(self, y: Tensor, rho: Tensor) -> Tensor:
        self.calls += 1
        # The denoiser takes times of the data's precision. Rounding moves its noise level, by some percent where a
        # schedule is steep in float32, and x_0 with it by far less; rho itself stays exact.
        t = self.process.schedule.time(-2 * rho.log()).to(self.like.dtype)
        alpha = pad(self.process.schedule.alpha(t.double()).to(self.like), y)
        return (y - self.denoiser(alpha * y, t.to(self.like.device))) / pad(rho.to(self.like), y)
