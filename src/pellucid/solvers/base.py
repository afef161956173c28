"""What a solver is, and the one loop over time that all of them share."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..denoisers import Denoiser, LearnedVariance
from ..foundations.errors import UserError
from ..foundations.rng import Stream


class Solver(Protocol):
    """One pure step from time t to s < t. It owns no loop, no state and no random numbers.

    Attributes:
        draws: noise tensors that one step consumes.
        evaluations: calls of the denoiser in one step; of an adaptive solver, in one substep.
        order: the order of convergence of its deterministic error; for a stochastic solver the weak order.
    """

    @property
    def draws(self) -> int: ...

    @property
    def evaluations(self) -> int: ...

    @property
    def order(self) -> int: ...

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        """The state at s and what the next step wants to remember.

        Args:
            denoiser: called as denoiser(x, t).
            x: the state at t, (B, *).
            t, s: times, shape (), float64 on the CPU.
            noise: the step's randomness, (draws, B, *).
            carry: what the step before returned; None at the first step and after time travel.
        """
        ...


Callback = Callable[[int, Tensor, Tensor, Tensor], None]

_NOISE_BLOCK = 1 << 17  # numbers drawn at once: many enough to hide the calls, few enough to stay in the cache


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    x: Tensor,
    times: Tensor,
    solver: Solver,
    *,
    stream: Stream | None = None,
    callback: Callback | None = None,
    **cond: Any,
) -> Tensor:
    """Runs a solver along a time grid; where the grid rises, re-noises (time travel).

    Args:
        denoiser: E[x_0 given x_t] with its process.
        x: the state at times[0], (B, *).
        times: (N + 1,), any grid; see `processes.times`.
        stream: the random numbers; needed by stochastic solvers and by time travel. Step i uses the stream's step i + 1
            (step 0 is the prior's).
        callback: called after each step as callback(i, t, s, x).
        cond: conditions, passed to the denoiser at every call.

    Returns:
        The state at times[-1], (B, *).

    Raises:
        UserError: a grid with fewer than two or equal neighbouring times, or times outside [0, 1]; a missing stream.
    """
    # Scalars on the CPU in float64: the schedule's arithmetic loses no digit, waits for no device, and the state keeps
    # its own type and place, because scalars do not promote tensors.
    times = times.double().cpu()
    rises = _checked_grid(times)
    if cond:
        denoiser = _Conditioned(denoiser, cond)
    draws = [1 if rise else solver.draws for rise in rises]
    if any(draws) and stream is None:
        raise UserError("this solver or grid needs random numbers: pass stream=Stream.of(seed, range(batch))")
    process, num_steps = denoiser.process, len(rises)
    block = max(1, _NOISE_BLOCK // max(1, x.numel() * max(draws)))
    blank = x.new_empty((0, *x.shape))
    stops = times.unbind()
    carry: Any = None
    drawn = blank
    for i in range(num_steps):
        if any(draws) and i % block == 0:
            assert stream is not None
            count = min(block, num_steps - i)
            drawn = process.draw(stream, x.shape[1:], step=i + 1, num_steps=count, num_draws=max(draws))
            drawn = drawn.to(x.dtype) if x.is_floating_point() else drawn
        noise = drawn[i % block, : draws[i]] if draws[i] else blank
        t, s = stops[i], stops[i + 1]
        if rises[i]:
            x, carry = process.renoise(x, t, s, noise[0]), None
        else:
            x, carry = solver(denoiser, x, t, s, noise, carry)
        if callback is not None:
            callback(i, t, s, x)
    return x


def _checked_grid(times: Tensor) -> list[bool]:
    values = times.tolist()
    if len(values) < 2:
        raise UserError(f"a time grid needs at least two times, got {values}")
    if not all(0 <= value <= 1 for value in values):
        raise UserError(f"times lie in [0, 1] (0 is data, 1 is noise), got a grid from {min(values)} to {max(values)}")
    steps = list(pairwise(values))
    for t, s in steps:
        if t == s:
            raise UserError(f"two neighbouring times of the grid are equal ({t}): use fewer steps or another grid")
    return [s > t for t, s in steps]


@runtime_checkable
class Rowwise(Protocol):
    """A denoiser that can be had for some items of a batch alone."""

    def rows(self, index: Tensor, num: int) -> Denoiser | None:
        """The denoiser of the items `index`, int64, of a batch of num; None where it cannot be had."""
        ...


def on_rows(denoiser: Denoiser, x: Tensor, t: Tensor, index: Tensor) -> Tensor:
    """What the denoiser returns for the items `index`, (len(index), *): computed for these alone where it can be.

    Args:
        x: the whole batch, (B, *).
        t: () or (B,).
        index: int64, (N,), all different.
    """
    if len(index) == len(x):
        return denoiser(x, t)
    part = denoiser.rows(index, len(x)) if isinstance(denoiser, Rowwise) else None
    if part is None:
        return denoiser(x, t)[index]
    return part(x[index], t[index] if t.ndim else t)


class _Conditioned:
    """A denoiser with its conditions filled in, so that a solver sees a function of (x, t)."""

    def __init__(self, denoiser: Denoiser, cond: dict[str, Any]) -> None:
        self._denoiser, self._cond = denoiser, cond
        self.process = denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        return self._denoiser(x, t, **self._cond, **cond)

    def rows(self, index: Tensor, num: int) -> Denoiser | None:
        part = self._denoiser.rows(index, num) if isinstance(self._denoiser, Rowwise) else None
        if part is None:
            return None
        return _Conditioned(part, {name: _rows(value, index, num) for name, value in self._cond.items()})

    def moments(self, x: Tensor, t: Tensor, **cond: Any) -> tuple[Tensor, Tensor]:
        if not isinstance(self._denoiser, LearnedVariance):
            raise UserError("this denoiser learned no variance: choose a fixed one")
        return self._denoiser.moments(x, t, **self._cond, **cond)


def _rows(value: Any, index: Tensor, num: int) -> Any:
    """A condition of some items: of whatever is one for each item of the batch."""
    return value[index] if isinstance(value, Tensor) and value.ndim and len(value) == num else value
