r"""DDNM+: DDNM for an observation with noise.

In the coordinates of `frames`, y sees direction i as seen_i = x_0i + m_i, m_i of variance v_i. As long as the state has
more noise than that, sigma_s^2 > alpha_s^2 v_i, y's own noise can be hidden in the state's: Wang et al. put seen_i for
x_0i (their Sigma_t = 1 there) and lower the variance of the noise that the step adds (their Phi_t), so that the noise
of x_s is sigma_s^2 again, which is what the denoiser believes. They count m_i in the one step. But m_i is the same in
all steps, so x_t holds it already, and what they count it for falls short more with every step: a step's share of x_0
and its noise both go to zero on a fine grid, the result goes to seen_i, and no noise is removed at all. Counted in
full, the state given seen_i has the variance

    d_t^2 = sigma_t^2 - alpha_t^2 v_i,                                                                             (1)

and the step is the bridge of a process with d for sigma, between its deterministic move (eta = 0) and its posterior
(eta = 1):

    x_s = alpha_s seen + k (x_t - alpha_t seen) + sqrt(d_s^2 - k^2 d_t^2) z,
    k = d_s/d_t sqrt(1 - eta^2 (1 - r^2)),   r = alpha_t d_s/(alpha_s d_t)                                         (2)

so that x_s = alpha_s x_0 + (noise of variance sigma_s^2 exactly, m_i's part included). Where the state would get less
noise than y has, y is itself a state of the noise level sqrt(v_i): the direction goes on from there by the bridge with
the denoiser's x_0 (their Sigma_t goes to zero), and from then on by the solver, like those that were never seen.

For a normal law whose directions are independent this is a draw from p(x_0 given y), exactly in the limit of many steps
of a stochastic solver. At v = 0, (2) is the step of DDNM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.rng import Stream
from ..processes.base import Process
from ..solvers.base import Callback, Solver
from ..solvers.gaussian import Level, gaussian_process, level_at
from .base import Around, Known, Observation
from .ddnm import DDNM, Travelling
from .frames import Frame, frame


@dataclass(frozen=True)
class DDNMPlus(Travelling):
    """DDNM with noise, under any solver: the solver moves what y does not see or sees no better than the state, (2)
    moves the rest, with eta = 1 for a stochastic solver and 0 for a deterministic one. Without noise it is `DDNM`.

    Where the operator's singular system is unknown, all that A keeps shares one noise level; see `frames`.

    Source: Wang et al. 2022, section 3.3 and appendix I, with the noise counted as the module says.
    """

    posterior: ClassVar[bool] = False

    def mover(self, solver: Solver, observation: Observation, times: Tensor) -> Solver:
        return _Hidden(solver, frame(observation))

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
        method: Travelling = DDNM(self.travel_length, self.travel_repeats)
        run = method.run if observation.noise == 0 else super().run
        return run(denoiser, observation, stream=stream, times=times, solver=solver, callback=callback, **cond)


@dataclass(frozen=True, eq=False)
class _Replaced:
    """A denoiser's estimate with y's own values in some directions."""

    denoiser: Denoiser
    frame: Frame
    where: Tensor

    @property
    def process(self) -> Process:
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        x0 = self.denoiser(x, t, **cond)
        return x0 + self.frame.back(torch.where(self.where, self.frame.seen - self.frame.to(x0), 0))


@dataclass(frozen=True, eq=False)
class _Hidden(Around):
    """A solver's step, with equation (2) in the directions that y sees better than the state at its end."""

    frame: Frame

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        schedule = gaussian_process(denoiser).schedule
        now, then = level_at(schedule, t), level_at(schedule, s)
        variance = self.frame.variance
        hidden, ending = variance < then.rho**2, (variance >= then.rho**2) & (variance < now.rho**2)
        if not bool((hidden | ending).any()):
            return self.solver(denoiser, x, t, s, noise, carry)
        x0 = denoiser(x, t)
        replaced = _Replaced(Known(denoiser, x, t, x0), self.frame, hidden)
        moved, carry = self.solver(replaced, x, t, s, noise, carry)
        c, c0, c_moved = self.frame.to(x), self.frame.to(x0), self.frame.to(moved)
        z = self.frame.to(noise[0]) if self.draws else torch.zeros_like(c)
        change = torch.where(hidden, self._hide(c, z, now, then) - c_moved, 0)
        change = torch.where(ending, self._release(c0, z, then) - c_moved, change)
        return moved + self.frame.back(change), carry

    def _hide(self, c: Tensor, z: Tensor, now: Level, then: Level) -> Tensor:
        """Equation (2)."""
        seen, variance = self.frame.seen, self.frame.variance
        before = (now.sigma**2 - now.alpha**2 * variance).clamp_min(0)
        after = (then.sigma**2 - then.alpha**2 * variance).clamp_min(0)
        share = after / before.where(before > 0, torch.ones_like(before))  # (d_s/d_t)^2
        fresh = self._eta**2 * (1 - (now.alpha / then.alpha) ** 2 * share).clamp_min(0)
        keep = (share * (1 - fresh)).sqrt()
        return then.alpha * seen + keep * (c - now.alpha * seen) + (after * fresh).sqrt() * z

    def _release(self, c0: Tensor, z: Tensor, then: Level) -> Tensor:
        """The bridge to s from y as a state of the noise level sqrt(v), with the estimate c0."""
        seen, variance = self.frame.seen, self.frame.variance
        share = then.rho**2 / variance.where(variance > 0, torch.ones_like(variance))
        fresh = self._eta**2 * (1 - share).clamp_min(0)
        keep = (share * (1 - fresh)).sqrt()
        return then.alpha * (c0 + keep * (seen - c0)) + then.sigma * fresh.sqrt() * z

    @property
    def _eta(self) -> float:
        return 1.0 if self.draws else 0.0
