r"""The average of the weights that sampling uses.

A fixed decay forgets either too fast for a long run or too slowly for a short one. The power-function average

    beta_k = (1 - 1/k)^(gamma + 1)                                                                                 (1)

at step k weighs step j by about j^gamma: its width is a fixed fraction of the run so far, whatever its length, and it
forgets the initialisation by itself. The fraction r (standard deviation of the weights' ages over k) is

    r = sqrt(gamma + 1) / ((gamma + 2) sqrt(gamma + 3))                                                            (2)

(Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", 2024, section 3.1.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def exponent(width: float) -> float:
    """gamma of equation (2) for the relative width r in (0, 0.28], by bisection; r is monotone there.

    >>> round(exponent(0.05), 2)
    16.97
    """
    low, high = 0.0, 1.0 / width
    for _ in range(60):
        middle = (low + high) / 2
        r = math.sqrt(middle + 1) / ((middle + 2) * math.sqrt(middle + 3))
        low, high = (middle, high) if r > width else (low, middle)
    return high


def decay(step: int, gamma: float) -> float:
    """beta of equation (1) at step 1, 2, ...; at step 1 the average is the weights themselves."""
    return (1 - 1 / step) ** (gamma + 1)


@torch.no_grad()
def update(average: Iterable[Tensor], weights: Iterable[Tensor], step: int, gamma: float) -> None:
    """Moves the average towards the weights, in place."""
    torch._foreach_lerp_(list(average), list(weights), 1 - decay(step, gamma))
