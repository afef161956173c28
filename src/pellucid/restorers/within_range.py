"""What of an observation any x can explain: its part in the range of A, and how many values that is.

The rest is nothing but noise, or what happens to stand where a mask has lost the picture. No method can act on it, so
none should count it in a misfit that is to fall to the size of the noise.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ..foundations.rng import Stream
from ..operators.base import Operator
from ..operators.nonlinear import Behind
from .base import Observation

_PROBED = 4096  # random values that an average over directions is taken of, where items are that small


def within_range(observation: Observation) -> tuple[Observation, float]:
    """The observation with A A+ y for y, and the rank of A.

    Without a singular system the rank is the trace of A A+ as white noise shows it, to a relative sqrt(2/rank) or, for
    small items, a few percent.
    """
    operator, y = observation.operator, observation.y
    if isinstance(operator, Behind):  # what a decoder cannot explain is no more than what A cannot
        seen, rank = within_range(Observation(operator.operator, y, observation.noise))
        return replace(observation, y=seen.y), rank
    if operator.system is not None:
        rank = float(operator.system.kept.sum())
    else:
        z = probes(operator, y)
        rank = float((z * _project(operator, z)).sum()) / len(z)
    return replace(observation, y=_project(operator, y)), rank


def probes(operator: Operator, like: Tensor) -> Tensor:
    """Fixed white noise in the place of observations, (k, *out_shape): one large one or, at most 64, several small."""
    count = max(1, min(64, _PROBED // operator.size))
    return Stream.of(0, range(count), device=like.device).normal(operator.out_shape, step=0)[0, 0].to(like)


def _project(operator: Operator, y: Tensor) -> Tensor:
    return operator.forward(operator.pinv(y))
