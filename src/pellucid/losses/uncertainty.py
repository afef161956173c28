r"""Learned uncertainty: a loss that weighs itself.

    L/exp(u(c)) + u(c),   least at u = log E[L given c]                                                            (1)

so every noise level contributes gradients of the same size, whatever the weighting (Kendall et al., "Multi-Task
Learning Using Uncertainty to Weigh Losses", 2018; Karras et al., "Analyzing and Improving the Training Dynamics of
Diffusion Models", 2024, eq. 14).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_WAVES = 16
_SPAN = 8.0  # of c over which the slowest wave runs half its way: c is log(sigma/alpha)/4, within about +-3


class Uncertainty(nn.Module):
    """u(c) = sum of a constant and cosines of c, zero at first; c is what the network is told of the noise, (B,)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(_WAVES))

    def forward(self, c: Tensor) -> Tensor:
        """u at noise levels c, (B,)."""
        waves = torch.arange(_WAVES, device=c.device, dtype=self.weight.dtype)
        place = (c.to(self.weight.dtype) + _SPAN / 2).clamp(0, _SPAN) / _SPAN
        return (math.pi * place[:, None] * waves).cos() @ self.weight

    def weigh(self, losses: Tensor, c: Tensor) -> Tensor:
        """Equation (1) for losses (B,) at noise levels c."""
        u = self(c)
        return losses * (-u).exp() + u
