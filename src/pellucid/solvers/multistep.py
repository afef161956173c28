r"""Multistep solvers: past estimates of x_0 buy order without further calls.

Each is a polynomial for x_0 over log-SNR in equation (2) of `exponential`: a predictor runs through the values known at
the step's start; a corrector, once x_0 is known at the step's end, runs through that one too and replaces the
polynomial without a further call, since the two end points differ by nothing but the weights of known values:

    x_corrected = x_predicted + sum_j (corrector weight_j - predictor weight_j) x_0,j                              (1)

(the noise of a stochastic step is the same in both, and x_0 is not evaluated again: mode "PEC").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from .exponential import exact_shares, halved_shares, move
from .gaussian import Level, combine, levels

Shares = Callable[[Sequence[float], Level, Level, float], list[float]]


class Past(NamedTuple):
    """What a multistep method remembers: where the last step began and ended, its weights of x_0, and the values of x_0
    with their lambdas, newest first."""

    began: Level
    ended: Level
    weights: tuple[float, ...]
    lams: tuple[float, ...]
    values: tuple[Tensor, ...]


def multistep(
    denoiser: Denoiser,
    x: Tensor,
    t: Tensor,
    s: Tensor,
    noise: Tensor,
    past: Past | None,
    *,
    predictor: int,
    corrector: int = 0,
    eta: float = 0.0,
    shares: Shares = exact_shares,
) -> tuple[Tensor, Past]:
    """One step that evaluates x_0 once, corrects the state at t with it, and predicts the state at s.

    Args:
        past: what the last step returned; None starts anew at first order.
        predictor: how many values of x_0 the predictor runs through.
        corrector: how many the corrector runs through, with the new one; 0 for none.
        eta: rate of fresh noise: 0 for the ODE, 1 for the reverse SDE.
        shares: how the polynomial is integrated.
    """
    _, now, then = levels(denoiser, t, s, past.ended if past else None)
    x0 = denoiser(x, t)
    lams: tuple[float, ...] = (now.lam,)
    values: tuple[Tensor, ...] = (x0,)
    if past:
        if corrector:
            x = _correct(x, x0, past, corrector, eta, shares)
        room = max(predictor, corrector - 1) - 1
        lams, values = lams + past.lams[:room], values + past.values[:room]
    step = move(now, then, eta)
    parts = shares(lams[:predictor], now, then, eta)
    weights = tuple(step.gain * part for part in parts)
    terms = list(zip(weights, values[:predictor], strict=True))
    if step.spread:
        terms.append((step.spread, noise[0]))
    return combine((step.keep, x), *terms), Past(now, then, weights, lams, values)


def _correct(x: Tensor, x0: Tensor, past: Past, corrector: int, eta: float, shares: Shares) -> Tensor:
    """Equation (1) at the end of the last step."""
    began, ended = past.began, past.ended
    lams = (ended.lam, *past.lams)[:corrector]
    # The shares want the value at the step's beginning first.
    order = [1, 0, *range(2, len(lams))] if len(lams) > 1 else [0]
    parts = shares([lams[i] for i in order], began, ended, eta)
    gain = move(began, ended, eta).gain
    new = [0.0] * max(len(lams), 1 + len(past.weights))
    for i, part in zip(order, parts, strict=True):
        new[i] = gain * part
    for j, weight in enumerate(past.weights):
        new[j + 1] -= weight
    return combine((1.0, x), *zip(new, (x0, *past.values), strict=False))


def _checked_order(order: int) -> None:
    if order not in (1, 2, 3, 4):
        raise UserError(f"order must be 1, 2, 3 or 4, got {order}")


@dataclass(frozen=True)
class Adams:
    """The exponential Adams-Bashforth method: x_0 extrapolated by the polynomial through its last `order` values, with
    exact integrals on any grid (Hochbruck and Ostermann, "Exponential multistep methods of Adams-type", 2011).

    Order 3 is what DPM-Solver++(3M) means to be: widespread code halves the second-difference term of that method and
    is of second order for it.

    Attributes:
        order: 1 to 4. The first steps, until enough values are known, are of lower order, and a step to t = 0 is of
            first order.
    """

    order: int = 3
    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _checked_order(self.order)

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        return multistep(denoiser, x, t, s, noise, carry, predictor=self.order)


@dataclass(frozen=True)
class DPMpp2M:
    """DPM-Solver++(2M): x_0 extrapolated by its last two values to the middle of the step (Lu et al., "DPM-Solver++",
    2022, algorithm 2). The first step and a step to t = 0 are of first order."""

    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 2

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        return multistep(denoiser, x, t, s, noise, carry, predictor=2, shares=halved_shares)


@dataclass(frozen=True)
class UniPC:
    """UniPC in data prediction with B(h) = e^h - 1: a predictor through `steps` values and a corrector through one more
    that reuses the next step's call (Zhao et al., "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of
    Diffusion Models", 2023, algorithms 5 and 6).

    Its conditions on the weights, where there are more than two values, are those of the exact integral of the
    polynomial through them; with two values it takes the middle of the step.

    Attributes:
        steps: 2 or 3; the order of convergence is one more.
    """

    steps: int = 3
    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.steps not in (2, 3):
            raise UserError(f"UniPC is served with 2 or 3 steps, got {self.steps}")

    @property
    def order(self) -> int:
        """One more than the predictor's."""
        return self.steps + 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        return multistep(
            denoiser, x, t, s, noise, carry, predictor=self.steps, corrector=self.steps + 1, shares=halved_shares
        )
