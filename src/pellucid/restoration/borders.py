r"""Blur of any kernel on pictures that are not periodic, by an operator that is.

A picture ends where the camera's sensor does, and only a periodic blur has a singular system for every kernel. So the
observation is continued beyond its borders by as much as the kernel is long, from its mirror image at one border into
that at the opposite one, and is then periodic without a jump. What is restored beyond the borders is cut off again.
What was made up there reaches in by less than the kernel, and is no further from the truth than a mirror is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..operators import Crop, Operator
from ..operators.blur import CircularBlur
from ..operators.local_blur import Blur
from ..restorers import Observation


@dataclass(frozen=True, eq=False)
class Framed:
    """An observation to restore, and the window of the restoration that is asked for.

    Attributes:
        observation: of a picture that may be larger.
        window: what of it is the picture's; None for all.
    """

    observation: Observation
    window: Crop | None = None

    def cut(self, x: Tensor) -> Tensor:
        """Restorations (B, k, *whole) without what lies beyond the picture's borders."""
        return x if self.window is None else self.window.forward(x)


def framed(observation: Observation) -> Framed:
    """A blur by any kernel as a periodic one on a larger picture; what else, as it is."""
    blur: Operator = observation.operator
    if not isinstance(blur, Blur):
        return Framed(observation)
    margins = tuple(blur.kernel.shape)
    y = extended(observation.y, margins)
    shape = tuple(y.shape[1:])
    sides = blur.bound_shape[len(shape) - len(margins) :]
    periodic = CircularBlur(blur.kernel).on(shape)
    return Framed(Observation(periodic, y, observation.noise), Crop(margins, sides).on(shape))


def extended(y: Tensor, margins: tuple[int, ...]) -> Tensor:
    """Continued by a margin on both sides of the last axes, to be periodic: (B, *, n) to (B, *, n + 2 margin)."""
    for axis, margin in zip(range(-len(margins), 0), margins, strict=True):
        length = y.shape[axis]
        # Over the gap of 2 margins between the end and the next beginning, weights from one mirror image to the other.
        place = torch.arange(2 * margin)
        after, before = _mirrored(length + place, length), _mirrored(place - 2 * margin, length)
        shape = [1] * y.ndim
        shape[axis] = 2 * margin
        share = (0.5 - 0.5 * torch.cos(torch.pi * (place + 1) / (2 * margin + 1))).to(y).reshape(shape)
        gap = torch.lerp(y.index_select(axis, after.to(y.device)), y.index_select(axis, before.to(y.device)), share)
        y = torch.cat([gap.narrow(axis, margin, margin), y, gap.narrow(axis, 0, margin)], axis)
    return y


def _mirrored(place: Tensor, length: int) -> Tensor:
    """The place within [0, length) that a place outside mirrors."""
    around = place % (2 * length)
    return torch.minimum(around, 2 * length - 1 - around)
