r"""Multistep solvers of the reverse SDE: `multistep` with fresh noise.

Their weak order is 2, with two values of x_0 or more. An extrapolation cannot follow x_0 through the noise of its own
step, but it carries on the answer of x_0 to the noise of the step before, and the two have the same law; the other
terms of second order are those of the ODE. More values make the error smaller, not its order higher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from .exponential import halved_shares
from .multistep import multistep
from .sde import checked_eta


@dataclass(frozen=True)
class DPMpp2MSDE:
    """DPM-Solver++(2M) for the reverse SDE: `DPMpp2M` with fresh noise (Lu et al., "DPM-Solver++", 2022, section 5).

    Attributes:
        eta: rate of fresh noise: 1 for the reverse SDE, 0 for `DPMpp2M` itself.
    """

    eta: float = 1.0
    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 2

    def __post_init__(self) -> None:
        checked_eta(self.eta)

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        return multistep(denoiser, x, t, s, noise, carry, predictor=2, eta=self.eta, shares=halved_shares)


@dataclass(frozen=True)
class DPMpp3MSDE:
    """DPM-Solver++(3M) for the reverse SDE, with the exact integrals of the polynomial through the last three values.

    Attributes:
        eta: rate of fresh noise: 1 for the reverse SDE, 0 for `Adams` of order 3.
    """

    eta: float = 1.0
    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 2

    def __post_init__(self) -> None:
        checked_eta(self.eta)

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        return multistep(denoiser, x, t, s, noise, carry, predictor=3, eta=self.eta)


@dataclass(frozen=True)
class SASolver:
    """The stochastic Adams method: predictor and corrector through several values of x_0, noise at rate tau^2 (Xue et
    al., "SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models", 2023, algorithm 1, with a constant
    tau).

    Attributes:
        tau: 1 for the reverse SDE, 0 for the ODE.
        predictor: how many values the predictor runs through, 1 to 4.
        corrector: how many the corrector runs through, with the new one: 2 to 4, or 0 for none.
    """

    tau: float = 1.0
    predictor: int = 2
    corrector: int = 3
    draws: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1

    def __post_init__(self) -> None:
        checked_eta(self.tau)
        if self.predictor not in (1, 2, 3, 4) or self.corrector not in (0, 2, 3, 4):
            raise UserError(
                f"SA-Solver takes a predictor of 1 to 4 and a corrector of 2 to 4 values, or 0 for none, "
                f"got {self.predictor} and {self.corrector}"
            )

    @property
    def order(self) -> int:
        """The weak order."""
        return 2 if self.predictor > 1 or self.corrector else 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        return multistep(
            denoiser, x, t, s, noise, carry, predictor=self.predictor, corrector=self.corrector, eta=self.tau**2
        )
