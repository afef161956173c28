r"""Predictor and corrector: a discretised reverse step, then Langevin moves at the noise level reached.

For one transition of the chain, x_t = r x_s + sqrt(v) z with r = alpha_t/alpha_s and v = sigma_t^2 - r^2 sigma_s^2, the
reverse-diffusion predictor is (Song et al., "Score-Based Generative Modeling through Stochastic Differential
Equations", 2021, appendix E)

    x_s = (2 - r) x_t + v score(x_t, t) + sqrt(v) z                                                                (1)

which for the variance-preserving chain, r = sqrt(1 - beta) and v = beta, reads (2 - sqrt(1 - beta)) x + beta score +
sqrt(beta) z. The corrector then repeats (algorithms 4 and 5)

    x <- x + e score(x, s) + sqrt(2 e) z,   e = 2 (snr sigma_s)^2                                                  (2)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from .gaussian import at_level, combine, levels


@dataclass(frozen=True)
class ReverseDiffusion:
    """Equation (1) and `corrector_steps` moves (2).

    Song et al. set e = 2 (snr |z|/|score|)^2 with norms averaged over the batch; (2) has their expectation where noise
    dominates, |z|/|score| = sigma_s, so an item depends on no other and the move stays affine. Moves at a normal law of
    variance V settle at V/(1 - e/2V) instead: a relative bias of (snr sigma_s)^2/V that finer grids do not remove, only
    lower noise at the end does. No noise and no corrector at t = 0, where x_s is (1) without its noise.

    Attributes:
        corrector_steps: Langevin moves after each step; each is a further call of the denoiser.
        snr: the corrector's signal-to-noise ratio r of Song et al.
    """

    corrector_steps: int = 0
    snr: float = 0.16

    def __post_init__(self) -> None:
        if self.corrector_steps < 0 or not self.snr > 0:
            raise UserError(
                f"corrector_steps must be 0 or more and snr positive, got {self.corrector_steps} and {self.snr}"
            )

    @property
    def draws(self) -> int:
        """One for the predictor and one for each corrector move."""
        return 1 + self.corrector_steps

    @property
    def evaluations(self) -> int:
        """One for the predictor and one for each corrector move."""
        return 1 + self.corrector_steps

    @property
    def order(self) -> int:
        """1; the corrector's own bias does not fall with the step."""
        return 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        _, now, then = levels(denoiser, t, s, at_level(carry))
        ratio = now.alpha / then.alpha
        variance = max(now.sigma**2 - (ratio * then.sigma) ** 2, 0.0)
        pull = variance / now.sigma**2
        spread = math.sqrt(variance) if then.sigma > 0 else 0.0
        x = combine((2 - ratio - pull, x), (pull * now.alpha, denoiser(x, t)), (spread, noise[0]))
        if then.sigma > 0:
            pull = 2 * self.snr**2
            for i in range(self.corrector_steps):
                x0 = denoiser(x, s)
                x = combine((1 - pull, x), (pull * then.alpha, x0), (math.sqrt(2 * pull) * then.sigma, noise[1 + i]))
        return x, then
