r"""Multistep solvers: past estimates of x_0 buy order without further calls.

With lambda = log(alpha/sigma), x/sigma obeys d(x/sigma) = x_0 d(exp lambda), so over a step of h = lambda_s - lambda_t

    x_s = sigma_s/sigma_t x_t + sigma_s int_{lambda_t}^{lambda_s} exp(l) x_0(l) dl                                 (1)

(Lu et al., "DPM-Solver++", 2022, proposition 4.1). A method is a polynomial for x_0(l).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from .gaussian import gaussian_process


@dataclass(frozen=True)
class DPMpp2M:
    """DPM-Solver++(2M): x_0 extrapolated by its last two values (Lu et al. 2022, algorithm 2). The first step and a
    step to t = 0 are of first order."""

    draws: ClassVar[int] = 0
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 2

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        process = gaussian_process(denoiser)
        (alpha_t, sigma_t), (alpha_s, sigma_s) = process.scales(t, x), process.scales(s, x)
        x0 = denoiser(x, t)
        lam = (alpha_t / sigma_t).log()
        guess = x0
        ratio = alpha_t * sigma_s / (alpha_s * sigma_t)  # exp(-h); 0 on a step to t = 0
        if carry is not None:
            lam_before, x0_before = carry
            # A step to zero noise is infinitely long in lambda: there the last estimate stands alone.
            h = torch.where(ratio > 0, -ratio.log(), 0.0)
            guess = x0 + 0.5 * h / (lam - lam_before) * (x0 - x0_before)
        return sigma_s / sigma_t * x + alpha_s * (1 - ratio) * guess, (lam, x0)
