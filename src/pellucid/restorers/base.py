r"""What a restoration method is, and what it restores.

Given y = A x_0 + n with n ~ N(0, noise^2 I) and a denoiser of the law of x_0, a method makes one draw (or one estimate)
of x_0 for each item of the batch. Most methods replace E[x_0 given x_t] by an estimate of E[x_0 given x_t, y]: they are
`Wrapper`s, denoiser to denoiser, and run under every solver and every guidance. Some change the step instead, which
knows what a denoiser cannot: from where to where it goes, and with what noise. The others have a `run` of their own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..operators.base import Operator
from ..solvers.base import Callback, Solver, sample


@dataclass(frozen=True, eq=False)
class Observation:
    """What was seen: y = A x_0 + n.

    Attributes:
        operator: A, bound to the item's shape.
        y: (B, *out_shape), in the data's scale (pictures in [-1, 1]).
        noise: the standard deviation of n in that same scale; 0 for none.

    Raises:
        UserError: an operator without a shape, y of the wrong shape or not finite, a negative or infinite noise.
    """

    operator: Operator
    y: Tensor
    noise: float = 0.0

    def __post_init__(self) -> None:
        expected = self.operator.out_shape
        if tuple(self.y.shape[1:]) != expected:
            raise UserError(
                f"the observation has the shape {tuple(self.y.shape[1:])}, but {type(self.operator).__name__} on items "
                f"of shape {self.operator.shape} gives {expected}"
            )
        if not bool(self.y.isfinite().all()):
            raise UserError("the observation holds values that are not finite (NaN or infinity)")
        if not 0 <= self.noise < float("inf"):
            raise UserError(f"noise is a standard deviation, at least 0 and finite; got {self.noise}")

    def residual(self, x: Tensor) -> Tensor:
        """y - A x, (B, *out_shape)."""
        return self.y - self.operator.forward(x)


class Restorer(ABC):
    """A method with its options, as a frozen dataclass.

    Attributes:
        posterior: whether repeated runs are meant as draws from p(x_0 given y); else each is a point estimate.
        learned: whether it uses the denoiser at all (classical methods do not).
        nonlinear: whether it serves what is seen through a decoder too, `operators.Behind`.
    """

    posterior: ClassVar[bool]
    learned: ClassVar[bool] = True
    nonlinear: ClassVar[bool] = False

    def check(self, observation: Observation) -> None:  # noqa: B027 - serving all is a choice, not a gap
        """Raises a UserError where the method cannot serve the observation. Serves all by default."""

    @abstractmethod
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
        """One restoration for each item of the batch, (B, *shape).

        Args:
            denoiser: of the law of x_0, guided or not.
            observation: B items.
            stream: the random numbers of B ids; step 0 is the prior's, as in `sample`.
            times: a falling time grid, (N + 1,), from 1 to 0.
            solver: moves from time to time.
            callback: called after each step as callback(i, t, s, x).
            cond: conditions, passed to the denoiser.
        """


class Wrapper(Restorer):
    """A method around the one loop over time: a change of the denoiser, of the step, of the grid, or of several."""

    def wrap(self, denoiser: Denoiser, observation: Observation) -> Denoiser:
        """A denoiser that estimates E[x_0 given x_t, y]; the one given where the method acts elsewhere."""
        return denoiser

    def mover(self, solver: Solver, observation: Observation, times: Tensor) -> Solver:
        """The solver it runs on `times`: the one given, one around it, or one of its own."""
        return solver

    def grid(self, times: Tensor) -> Tensor:
        """The times it runs on: those given, or with time travel put in."""
        return times

    def finish(self, x: Tensor, observation: Observation) -> Tensor:
        """The restoration from the state at the end of time."""
        return x

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
        process = denoiser.process
        shape = observation.operator.bound_shape
        x = process.prior(process.draw(stream, shape, step=0)[0, 0]).to(observation.y)
        x = sample(
            self.wrap(denoiser, observation),
            x,
            self.grid(times),
            self.mover(solver, observation, times),
            stream=stream,
            callback=callback,
            **cond,
        )
        return self.finish(x, observation)


@dataclass(frozen=True, eq=False)
class Around:
    """A step around another solver's step; a subclass gives `__call__`. It costs and converges as that step does."""

    solver: Solver

    @property
    def draws(self) -> int:
        return self.solver.draws

    @property
    def evaluations(self) -> int:
        return self.solver.evaluations

    @property
    def order(self) -> int:
        return self.solver.order


class Known:
    """A denoiser whose estimate at one state is known already: a step around another step pays for it once."""

    def __init__(self, denoiser: Denoiser, x: Tensor, t: Tensor, x0: Tensor) -> None:
        self._denoiser, self._at, self._x0 = denoiser, (x, t), x0
        self.process = denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        if x is self._at[0] and t is self._at[1]:
            return self._x0
        return self._denoiser(x, t, **cond)


def differentiable(denoiser: Denoiser, x: Tensor, t: Tensor, cond: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """(x, E[x_0 given x_t]) with the graph between them, also inside the driver's `no_grad`."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return x, denoiser(x, t, **cond)
