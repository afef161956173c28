r"""Twisted sequential Monte Carlo: a population of particles, weighed so that it is right as it grows.

With the twist g_t(x_t) near p(y | x_t) (`twist`) the population at time t stands for p_t(x_t) g_t(x_t). From t to s it
moves by a normal law q(x_s | x_t, y) and its weights are multiplied by

    p(x_s | x_t) g_s(x_s) / (g_t(x_t) q(x_s | x_t, y)),                                                            (1)

and since g_0 is the likelihood itself, weighted particles at t = 0 follow p(x_0 | y), for any twist, as their number
grows and the steps shrink (Wu et al., "Practical and Asymptotically Exact Conditional Sampling in Diffusion Models",
2023, algorithm 1).

Ours are the transitions. With q(x_s | x_t, x_0) = N(a x_0 + b x_t, tau I) and p(x_0 | x_t) near N(D, r^2 I),

    p(x_s | x_t) = N(a D + b x_t, (tau + a^2 r^2) I)                                                               (2)
    q(x_s | x_t, y) = N(a E[x_0 | x_t, y] + b x_t, tau I + a^2 r^2 noise^2 (r^2 A'A + noise^2 I)^-1)               (3)

so that for a round normal law (1) is 1 exactly: where x_t already tells the cluster that x_0 is in, nothing is weighed,
in any dimension. What is left is the error of (2) where it does not; it is small where a^2 excess is small against tau,
so steps are as long as a^2 excess <= stride^2 tau allows, excess being the population's mean of C's largest eigenvalue
above r^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..operators.base import SingularSystem
from ..processes.gaussian import Gaussian
from ..solvers.base import Callback, Solver
from ..solvers.gaussian import gaussian_process
from .base import Observation, Restorer
from .exact import has_spectrum, spectrum
from .twist import Twist, twist

_ROWS = 1 << 18  # values that go through the denoiser with a graph at once
_LONGEST = 0.9  # share of (sigma/alpha)^2 that one step may remove
_QUIET = 1e-3  # noise of an observation without noise, relative to its root mean square


@dataclass(frozen=True)
class SMC(Restorer):
    """Twisted sequential Monte Carlo, asymptotically exact in the number of particles.

    Items of the batch that stand together and have the same y and conditions share one population, and are drawn from
    its final weights: k samples of one observation cost one population of max(particles, k). So, unlike with other
    methods, they depend on one another (not on other observations). The solver is not used; of the time grid those
    times are used that `stride` asks for. An observation without noise is taken with a thousandth of its root mean
    square, and met exactly at the end.

    Attributes:
        particles: of a population, at least.
        stride: sets how long steps are; smaller is finer.
        krylov: products with the denoiser's Jacobian that the twist may take.
        resample_below: resamples where the effective sample size is below this share of the population.

    Raises:
        UserError: options out of range.
    """

    particles: int = 256
    stride: float = 0.5
    krylov: int = 8
    resample_below: float = 0.5
    posterior: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.particles < 1 or self.krylov < 1:
            raise UserError(f"particles and krylov must be at least 1, got {self.particles} and {self.krylov}")
        if not (self.stride > 0 and 0 < self.resample_below <= 1):
            raise UserError(
                f"stride must be positive and resample_below in (0, 1], got {self.stride} and {self.resample_below}"
            )

    def check(self, observation: Observation) -> None:
        if not has_spectrum(observation.operator):
            name = type(observation.operator).__name__
            raise UserError(f"smc needs the singular system of {name} on large items, which is not known: use mmps")

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
        groups = _groups(observation.y, cond)
        system = spectrum(observation.operator, observation.y[:0])
        parts = []
        for number, (start, stop) in enumerate(groups):

            def follow(i: int, t: Tensor, s: Tensor, x: Tensor, number: int = number) -> None:
                if callback is not None:
                    callback((number * (len(times) - 1) + i) // len(groups), t, s, x)

            parts.append(
                _Population(
                    self,
                    gaussian_process(denoiser),
                    denoiser,
                    Observation(observation.operator, observation.y[start : start + 1], observation.noise),
                    system,
                    Stream(stream.seed, stream.ids[start : start + 1]),
                    {name: _row(value, start, len(observation.y)) for name, value in cond.items()},
                    max(self.particles, stop - start),
                ).run(times.double().cpu(), stop - start, follow)
            )
        return torch.cat(parts)


@dataclass(frozen=True, eq=False)
class _Population:
    """The particles of one observation."""

    options: SMC
    process: Gaussian
    denoiser: Denoiser
    seen: Observation
    system: SingularSystem
    stream: Stream
    cond: dict[str, Any]
    size: int

    @torch.no_grad()
    def run(self, times: Tensor, count: int, callback: Callback) -> Tensor:
        """`count` draws, (count, *shape)."""
        x = self.process.prior(self._normal(0, 0))
        log_weights = torch.zeros(self.size, dtype=torch.float64, device=x.device)
        before: Tensor | float = 0.0  # log of what the weights already hold: g_t q / p of (1)
        i, last = 0, len(times) - 1
        while i < last:
            now = self._twist(x, times[i], i)
            log_weights = log_weights + now.log_prob - before
            weights = log_weights.softmax(0)
            j = self._next(times, i, float((weights * now.excess).sum()))
            if 1 / weights.square().sum() < self.options.resample_below * self.size:
                index = self._resampled(weights, self.size, i + 1)
                x, now, log_weights = x[index], now.rows(index), torch.zeros_like(log_weights)
            x, gone = self._move(x, now, times[i], times[j], self._normal(i + 1, 1))
            before = now.log_prob + gone
            callback(j - 1, times[i], times[j], x)
            i = j
        log_weights = log_weights + self._log_likelihood(x) - before
        x = x[self._resampled(log_weights.softmax(0), count, last + 1)]
        return x if self.seen.noise else x + self.seen.operator.pinv(self.seen.residual(x))

    def _twist(self, x: Tensor, t: Tensor, i: int) -> Twist:
        rows = max(1, _ROWS // x[0].numel())
        probe = self.stream.normal(x.shape[1:], step=i + 1, draw=3)[0, 0].to(x)
        parts = []
        for part in x.split(rows):
            cond = {name: _repeated(value, len(part)) for name, value in self.cond.items()}
            parts.append(
                twist(
                    self.process,
                    self.denoiser,
                    part,
                    t,
                    cond,
                    system=self.system,
                    seen=self._coefficients,
                    noise=self._noise,
                    probe=probe,
                    steps=self.options.krylov,
                )
            )
        return Twist.joined(parts)

    def _next(self, times: Tensor, i: int, excess: float) -> int:
        """The farthest time on the grid that the stride allows, and at least the next one."""
        schedule = self.process.schedule
        level = (schedule.sigma(times[i:]) / schedule.alpha(times[i:]).clamp_min(1e-8)).square()
        # With N = sigma/alpha and u the share of N^2 that goes, a^2 excess/tau = u excess/(N^2 (1 - u)) for alpha = 1.
        odds = self.options.stride**2 * float(level[0]) / max(excess, 1e-30)
        share = min(_LONGEST, odds / (1 + odds))
        reached = int((level >= (1 - share) * level[0]).sum()) - 1
        return i + max(1, reached)

    def _move(self, x: Tensor, now: Twist, t: Tensor, s: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """A draw from (3), and log q - log p of it, (B,)."""
        alpha_t, sigma_t = self.process.scales(t, x)
        alpha_s, sigma_s = self.process.scales(s, x)
        ratio = alpha_t * sigma_s / (alpha_s * sigma_t)
        b = sigma_s * ratio / sigma_t
        a = alpha_s - alpha_t * b
        tau = sigma_s.square() * (1 - ratio.square())
        values, kept = self.system.values.to(x), self.system.kept.to(x.device)
        prior = tau + a.square() * now.variance
        shrunk = self._noise**2 / (now.variance * values.square() + self._noise**2)
        spread = torch.where(kept, tau + a.square() * now.variance * shrunk, prior)
        z = self.system.v(noise)
        kick = spread.sqrt() * z
        moved = a * now.mean + b * self.system.v(x) + kick
        off = a * (now.mean - now.x0) + kick
        log_ratio = 0.5 * (off.double().square() / prior - z.double().square() + (prior / spread).double().log()).sum(1)
        return self.system.v_inverse(moved), log_ratio

    def _log_likelihood(self, x: Tensor) -> Tensor:
        gap = (self._coefficients - self.system.values.to(x) * self.system.v(x)) * self.system.kept.to(x)
        count = int(self.system.kept.sum())
        return -0.5 * (gap.double().square().sum(1) / self._noise**2 + count * math.log(self._noise**2))

    @property
    def _noise(self) -> float:
        quiet = _QUIET * float(self.seen.y.square().mean().sqrt())
        return self.seen.noise or max(quiet, 1e-6)

    @property
    def _coefficients(self) -> Tensor:
        return self.system.u(self.seen.y)

    def _normal(self, step: int, draw: int) -> Tensor:
        shape = self.seen.operator.bound_shape
        return self.stream.normal((self.size, *shape), step=step, draw=draw)[0, 0, 0].to(self.seen.y)

    def _resampled(self, weights: Tensor, count: int, step: int) -> Tensor:
        """Systematic resampling: indices, (count,) (Douc, Cappé and Moulines, "Comparison of Resampling Schemes for
        Particle Filtering", 2005, section 2.4)."""
        start = self.stream.uniform((), step=step, draw=2)[0, 0, 0].double()
        places = (torch.arange(count, device=weights.device) + start) / count
        cumulative = weights.cumsum(0)
        return torch.searchsorted(cumulative / cumulative[-1], places).clamp_max(len(weights) - 1)


def _groups(y: Tensor, cond: dict[str, Any]) -> list[tuple[int, int]]:
    """Stretches of neighbouring items that are alike in y and in conditions."""
    rows = [value for value in cond.values() if _by_item(value, len(y))]

    def alike(i: int, j: int) -> bool:
        return all(torch.equal(each[i], each[j]) for each in (y, *rows))

    starts = [i for i in range(len(y)) if i == 0 or not alike(i - 1, i)]
    return list(zip(starts, [*starts[1:], len(y)], strict=True))


def _by_item(value: Any, count: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == count


def _row(value: Any, start: int, count: int) -> Any:
    return value[start : start + 1] if _by_item(value, count) else value


def _repeated(value: Any, count: int) -> Any:
    return value.expand(count, *value.shape[1:]) if isinstance(value, Tensor) and _by_item(value, 1) else value
