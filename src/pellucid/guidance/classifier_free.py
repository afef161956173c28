"""Classifier-free guidance, with a limited interval and negative prompts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .pair import Pair


@dataclass(frozen=True)
class Guided(Pair):
    """u + w (c - u), equation (1) of `base`, of a denoiser whose conditions were dropped part of the time in training.

    Its estimate at noise t is that of the law p(x_t given y)^w p(x_t)^(1 - w), normalised. These laws at different t
    are not noised versions of one another, so the samples do not follow the one at t = 0: `guided_normal` has what they
    follow instead, for normal laws exactly.

    Source: Ho and Salimans, "Classifier-Free Diffusion Guidance", 2022, eq. 6.

    >>> from pellucid import SCHEDULES, Gaussian, MixtureOracle
    >>> law = MixtureOracle(
    ...     Gaussian(SCHEDULES["vp"]()), torch.tensor([[-1.0], [1.0]]), torch.zeros(2), labels=torch.tensor([0, 1])
    ... )
    >>> x, t, label = torch.zeros(1, 1), torch.tensor(0.5), torch.tensor([1])
    >>> Guided(law, 2.0, {"label": -1})(x, t, label=label)  # u = 0, c = 1
    tensor([[2.]])
    """

    def combine(self, c: Tensor, u: Tensor) -> Tensor:
        return torch.lerp(u, c, self.scale)
