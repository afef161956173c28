r"""Guidance by the true covariance of p(x_0 given x_t), which the denoiser's Jacobian J = dD/dx_t tells:

    C = Cov[x_0 | x_t] = sigma^2/alpha J                                                                           (1)

(Efron, "Tweedie's Formula and Selection Bias", 2011, of second order). With p(x_0 | x_t) taken as N(D, C),

    E[x_0 | x_t, y] = D + C A' w,    (noise^2 I + A C A') w = y - A D                                              (2)

which is exact for any Gaussian law of x_0. MMPS solves (2) by conjugate gradients, one product with J for each step;
TMPD takes a diagonal matrix for A C A', from the sums of its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..operators.solve import conjugate_gradients
from ..processes.gaussian import Gaussian
from ..solvers.gaussian import gaussian_process
from .base import Observation, Wrapper, differentiable
from .pigdm import levels

Solve = Callable[[Observation, Tensor, Callable[[Tensor], Tensor]], Tensor]


@dataclass(frozen=True)
class MMPS(Wrapper):
    """Moment matching posterior sampling, equation (2).

    The system is preconditioned by (r^2 A A' + noise^2 I)^-1, which the operator knows, with r^2 = e' A C A' e /
    |A'e|^2
    at the residual e: where C is a multiple of the identity one step solves it.

    Attributes:
        iterations: of conjugate gradients, at most; each is one product with the denoiser's Jacobian.
        tolerance: of the residual, relative.

    Raises:
        UserError: fewer than one iteration, or a tolerance that is not positive.

    Source: Rozet et al., "Learning Diffusion Priors from Observations by Expectation Maximization", 2024, section 4.2
    and algorithm 3; the preconditioner is ours.
    """

    iterations: int = 8
    tolerance: float = 1e-3
    posterior: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.iterations < 1 or not self.tolerance > 0:
            raise UserError(
                f"iterations must be at least 1 and tolerance positive, got {self.iterations} and {self.tolerance}"
            )

    def wrap(self, denoiser: Denoiser, observation: Observation) -> Denoiser:
        return _Matched(gaussian_process(denoiser), denoiser, observation, self._solve)

    def _solve(self, seen: Observation, gap: Tensor, covariance: Callable[[Tensor], Tensor]) -> Tensor:
        operator, noise = seen.operator, seen.noise**2
        back = operator.adjoint(gap)
        # The Rayleigh quotient of C along the residual.
        variance = _dot(back, covariance(back)) / _dot(back, back).clamp_min(1e-30)
        variance = variance.clamp_min(1e-12)

        def apply(w: Tensor) -> Tensor:
            return noise * w + operator.forward(covariance(operator.adjoint(w)))

        def precondition(r: Tensor) -> Tensor:
            return operator.gram_solve(r, noise_variance=noise, scale=variance)

        return conjugate_gradients(
            apply,
            gap,
            tolerance=self.tolerance,
            max_iterations=self.iterations,
            best=True,
            # Without a singular system the preconditioner would cost more than it saves.
            precondition=None if operator.system is None else precondition,
        )


@dataclass(frozen=True)
class TMPD(Wrapper):
    """Tweedie moment projected diffusion: (2) with a diagonal matrix for A C A', z * (A C A' z) with z = 1.

    Where values vary against one another these sums of rows are too small, and the step too long. So the largest over
    several z of signs +-1 is taken, the first of which is 1; each costs a product. All are exact for a diagonal A C A'.

    A wrong diagonal counts for more the less noise there is, so it gives estimates, not draws from the posterior.

    Attributes:
        signs: how many z; 1 is the method as published.

    Raises:
        UserError: fewer than one; at `check`, an observation without noise.

    Source: Boys et al., "Tweedie Moment Projected Diffusions for Inverse Problems", 2023, section 3.
    """

    signs: int = 4
    posterior: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.signs < 1:
            raise UserError(f"signs must be at least 1, got {self.signs}")

    def check(self, observation: Observation) -> None:
        if observation.noise == 0:
            raise UserError("tmpd needs an observation with noise, for its diagonal is not exact: use mmps")

    def wrap(self, denoiser: Denoiser, observation: Observation) -> Denoiser:
        return _Matched(gaussian_process(denoiser), denoiser, observation, self._solve)

    def _solve(self, seen: Observation, gap: Tensor, covariance: Callable[[Tensor], Tensor]) -> Tensor:
        drawn = Stream.of(0, range(self.signs), gap.device).uniform(gap.shape[1:], step=0)[0, 0]
        signs = (2 * (drawn < 0.5) - 1).to(gap)
        signs[0] = 1
        diagonal = torch.zeros_like(gap)
        for z in signs:
            product = seen.operator.forward(covariance(seen.operator.adjoint(z.expand_as(gap))))
            diagonal = diagonal.maximum(z * product)
        return gap / (diagonal + seen.noise**2).clamp_min(1e-12)


@dataclass(frozen=True)
class _Matched:
    process: Gaussian
    inner: Denoiser
    seen: Observation
    solve: Solve

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        x, x0 = differentiable(self.inner, x, t, cond)
        _, gain = levels(self.process, t, x)

        def covariance(u: Tensor) -> Tensor:
            (product,) = torch.autograd.grad(x0, x, u, retain_graph=True)
            return gain * product

        with torch.no_grad():
            solved = self.solve(self.seen, self.seen.residual(x0), covariance)
            shift = covariance(self.seen.operator.adjoint(solved))
        return (x0 + shift).detach()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each item, (B,)."""
    return (a * b).flatten(1).sum(1)
