r"""RePaint: where values are known, the state is the known value with the process's noise.

After each step from t to s, on the known values x_s is drawn anew from q(x_s given x_0 = y), on the others it is the
solver's (Lugmayr et al., "RePaint: Inpainting Using Denoising Diffusion Probabilistic Models", 2022, equation 8). The
two do not know of one another until the next step; time travel, which the authors call resampling, lets them agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..operators.base import Operator
from ..solvers.base import Solver
from .base import Around, Observation
from .ddnm import Travelling


@dataclass(frozen=True)
class RePaint(Travelling):
    """The known region re-noised at each step, around any solver, on a grid that goes back `travel_length` steps after
    every `travel_length` steps.

    Attributes:
        travel_repeats: the authors take 9 repeats of 10 steps each, ten times the calls.

    Raises:
        UserError: in `check`, an operator that does more than leave values out, or an observation with noise.
    """

    travel_repeats: int = 9
    posterior: ClassVar[bool] = False

    def check(self, observation: Observation) -> None:
        if observation.noise > 0:
            raise UserError(
                f"repaint takes the known values as exact, but the noise is {observation.noise}: use ddnm+, ddrm or "
                "diffpir, or state noise=0"
            )
        if known_values(observation.operator, observation.y) is None:
            raise UserError(
                f"repaint serves masks, where values are known or unknown, and {type(observation.operator).__name__} "
                "mixes or scales them: use ddnm, ddnm+, diffpir or dps"
            )

    def mover(self, solver: Solver, observation: Observation, times: Tensor) -> Solver:
        known = known_values(observation.operator, observation.y)
        assert known is not None  # `check`
        return _Painted(solver, known, observation.operator.pinv(observation.y))


def known_values(operator: Operator, like: Tensor) -> Tensor | None:
    """Which values of an item A shows as they are, bool of the item's shape; None where it is not a mask.

    Judged by what A does, not by its name: A' A must act as a mask of zeros and ones on a random item.
    """
    ones = torch.ones(1, *operator.bound_shape, dtype=like.dtype, device=like.device)
    z = Stream.of(0, [0], device=like.device).normal(operator.bound_shape, step=0)[0, 0].to(like)
    known = operator.adjoint(operator.forward(ones)).round()
    back = operator.adjoint(operator.forward(z))
    binary = bool(((known == 0) | (known == 1)).all())
    if not binary or not torch.allclose(back, known * z, rtol=1e-5, atol=1e-5):
        return None
    return known[0].bool()


@dataclass(frozen=True, eq=False)
class _Painted(Around):
    """A solver's step with the known values drawn from q(x_s given x_0); the last of the noise tensors is theirs."""

    known: Tensor
    values: Tensor

    @property
    def draws(self) -> int:
        return self.solver.draws + 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        moved, carry = self.solver(denoiser, x, t, s, noise[:-1], carry)
        # At s = 0 nothing is added: the known values themselves, bit for bit.
        return torch.where(self.known, denoiser.process.corrupt(self.values, s, noise[-1]), moved), carry
