"""What of an observation any x can explain: its part in the range of A, and how many values that is.

The rest is nothing but noise, or what happens to stand where a mask has lost the picture. No method can act on it, so
none should count it in a misfit that is to fall to the size of the noise.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ..foundations.rng import Stream
from ..operators.base import Operator
from .base import Observation


def within_range(observation: Observation) -> tuple[Observation, float]:
    """The observation with A A+ y for y, and the rank of A.

    Without a singular system the rank is the trace of A A+ as one random y of white noise shows it, to a relative
    sqrt(2/rank) or better.
    """
    operator, y = observation.operator, observation.y
    if operator.system is not None:
        rank = float(operator.system.kept.sum())
    else:
        z = Stream.of(0, [0], device=y.device).normal(operator.out_shape, step=0)[0, 0].to(y)
        rank = float((z * _project(operator, z)).sum())
    return replace(observation, y=_project(operator, y)), rank


def _project(operator: Operator, y: Tensor) -> Tensor:
    return operator.forward(operator.pinv(y))
