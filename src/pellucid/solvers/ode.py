r"""One-step solvers of the probability-flow ODE.

In the coordinates y = x/alpha and rho = sigma/alpha, the ODE of every Gaussian process is (Karras et al., "Elucidating
the Design Space of Diffusion-Based Generative Models", 2022, equations 1 and 4)

    dy/drho = z(x, t),   z = (x - alpha x_0(x, t)) / sigma                                                         (1)

so no schedule enters a method's error but through the grid. In x_0 a step of constant z reads
x_s = alpha_s x_0 + sigma_s z, which is regular at both ends of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..denoisers import Denoiser
from .gaussian import gaussian_process


@dataclass(frozen=True)
class Euler:
    """Euler's method on (1), the same step as DDIM with eta = 0."""

    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        return gaussian_process(denoiser).interpolate(x, denoiser(x, t), t, s, None, 0.0), carry


@dataclass(frozen=True)
class Heun:
    """Heun's method on (1): the trapezoid of the slopes at both ends (Karras et al. 2022, algorithm 1). Its last step,
    to t = 0, is Euler's."""

    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 2
    order: ClassVar[int] = 2

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        process = gaussian_process(denoiser)
        (alpha_t, sigma_t), (alpha_s, sigma_s) = process.scales(t, x), process.scales(s, x)
        x0 = denoiser(x, t)
        y = alpha_s * x0 + sigma_s * (x - alpha_t * x0) / sigma_t
        if bool(s == 0):
            return y, carry
        # The two slopes differ by alpha_s (x0 - x0_s)/sigma_s exactly; written so, nothing cancels at high noise.
        growth = alpha_s * sigma_t / (alpha_t * sigma_s) - 1
        return y + 0.5 * alpha_s * growth * (denoiser(y, s) - x0), carry
