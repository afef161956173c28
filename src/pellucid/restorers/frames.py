r"""Coordinates in which an observation is one noisy number for each direction it sees.

With the singular system A = U S V', the coordinates of x are c = V' x, and y sees those with s_i > 0:

    U' y / s = c + m,   m_i ~ N(0, noise^2 / s_i^2)                                                                (1)

Without one there are two coordinates only, the parts of x that A keeps, A+ A x, and loses, x - A+ A x. A+ y sees the
first, with noise whose variance is taken as equal in all directions: noise^2 times the mean of 1/s_i^2, as white noise
in the place of y shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..operators.base import Operator
from .base import Observation
from .within_range import probes


@dataclass(frozen=True, eq=False)
class Frame:
    """The coordinates of one observation; all are of shape (B, D), or (B, 2, D) for the two parts.

    Attributes:
        to: the coordinates of items (B, *shape).
        back: the items (B, *shape) of coordinates.
        seen: the coordinates of y, of equation (1); zero where nothing is seen.
        variance: the variance of the noise in them, (D,) or (2, 1); infinite where nothing is seen.
    """

    to: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]
    seen: Tensor
    variance: Tensor


def frame(observation: Observation) -> Frame:
    """The coordinates of an observation."""
    operator, y = observation.operator, observation.y
    system = operator.system
    if system is None:
        return _parts(observation)
    inverses = system.inverses.to(y)
    variance = torch.where(system.kept.to(y.device), (observation.noise * inverses).square(), torch.inf)
    return Frame(system.v, system.v_inverse, system.u(y) * inverses, variance)


def _parts(observation: Observation) -> Frame:
    operator, y = observation.operator, observation.y

    def to(x: Tensor) -> Tensor:
        kept = operator.pinv(operator.forward(x))
        return torch.stack([kept, x - kept], 1).flatten(2)

    def back(c: Tensor) -> Tensor:
        return c.sum(1).reshape(len(c), *operator.bound_shape)

    kept = operator.pinv(y).flatten(1)
    gain = observation.noise**2 * amplification(operator, y)
    variance = torch.tensor([[gain], [torch.inf]], dtype=y.dtype, device=y.device)
    return Frame(to, back, torch.stack([kept, torch.zeros_like(kept)], 1), variance)


def amplification(operator: Operator, like: Tensor) -> float:
    """The mean of 1/s_i^2 over the directions that A keeps, |A+ z|^2/|A A+ z|^2 for fixed white z."""
    back = operator.pinv(probes(operator, like))
    return float(back.square().sum() / operator.forward(back).square().sum())
