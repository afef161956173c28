"""Guidance whose estimate keeps the conditional one's contrast."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .pair import Pair


@dataclass(frozen=True)
class Rescaled(Pair):
    """Large scales overshoot the data's range; here the guided estimate g = u + w (c - u) is drawn back to the
    conditional one's spread:

        phi g std(c)/std(g) + (1 - phi) g                                                                          (1)

    with the standard deviation over the values of each item, so an item should have many: pictures, not points.

    Attributes:
        phi: 0 leaves g alone, 1 gives it exactly the spread of c.

    Raises:
        UserError: as `Pair`; phi outside [0, 1].

    Source: Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2023, eq. 15 and 16, there on
    the network's own output; here on the estimate of x_0, which means the same for every network.
    """

    phi: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.phi <= 1:
            raise UserError(f"phi must lie in [0, 1], got {self.phi}")

    def combine(self, c: Tensor, u: Tensor) -> Tensor:
        g = torch.lerp(u, c, self.scale)
        # An item without any contrast has none to be scaled.
        ratio = torch.where(_spread(g) > 0, _spread(c) / _spread(g), 1.0)
        return g * (1 - self.phi + self.phi * ratio)


def _spread(x: Tensor) -> Tensor:
    """The standard deviation over each item's values, shaped to broadcast against x."""
    return x.std(dim=tuple(range(1, x.ndim)), correction=0, keepdim=True)
