"""Ancestral sampling with a corrector: there and back again through the process itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError


@dataclass(frozen=True)
class Corrected:
    """The bridge, and then so many times a renoising over the same step and the bridge back.

    Forward and backward transitions between two times both keep the marginal law of the earlier one, where the
    backward one is exact; so a move repairs what single steps have missed, above all under uniform noise, where any
    symbol may change again (Campbell et al., "A Continuous Time Framework for Discrete Denoising Models", 2022, section
    4.4, whose corrector adds up the two rates). Works on any process.

    Attributes:
        moves: corrector moves after each step.

    Raises:
        UserError: fewer than one move, or more than a step has random numbers for.
    """

    moves: int = 1

    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 1 <= self.moves <= 100:
            raise UserError(f"a corrector makes between 1 and 100 moves, got {self.moves}")

    @property
    def draws(self) -> int:
        """One for the step and two for each move."""
        return 1 + 2 * self.moves

    @property
    def evaluations(self) -> int:
        """One for the step and one for each move."""
        return 1 + self.moves

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        process = denoiser.process
        x = process.bridge(x, denoiser(x, t), t, s, noise[0])
        for k in range(self.moves):
            noisier = process.renoise(x, s, t, noise[1 + 2 * k])
            x = process.bridge(noisier, denoiser(noisier, t), t, s, noise[2 + 2 * k])
        return x, carry
