r"""Dual averaging: a move's length that accepts the share of proposals one aims at, found in a warm-up and then frozen.

With a_i the acceptance seen at move i and d the aim,

    log h_{i+1} = m - sqrt(i)/(g (i + i0)) sum_{j <= i} (d - a_j)                                                  (1)
    log hbar_{i+1} = i^-k log h_{i+1} + (1 - i^-k) log hbar_i                                                      (2)

(Hoffman and Gelman, "The No-U-Turn Sampler", 2014, equations 5 and 6, whose g = 0.05, i0 = 10, k = 0.75 and
m = log(10 h_1) are kept). The warm-up walks by h and ends at hbar. A chain whose length went on changing with its state
would not keep its law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

_GAIN, _DELAY, _FADING = 0.05, 10, 0.75
_MOST = 80.0  # |log h| beyond which nothing is gained, and float64 would end


@dataclass(frozen=True)
class DualAveraging:
    """The state of (1) and (2).

    Attributes:
        start: h_1.
        aim: d.
        log_length: log h, to walk by.
        log_average: log hbar, to end with.
        lack: sum of d - a_j.
        seen: i.
    """

    start: float
    aim: float
    log_length: float
    log_average: float = 0.0
    lack: float = 0.0
    seen: int = 0

    @classmethod
    def of(cls, start: float, aim: float) -> DualAveraging:
        """Begins at a length."""
        return cls(start, aim, math.log(start))

    @property
    def length(self) -> float:
        """h, to walk by in the warm-up."""
        return math.exp(self.log_length)

    @property
    def tuned(self) -> float:
        """hbar, to be frozen; h_1 where nothing was seen."""
        return math.exp(self.log_average) if self.seen else self.start

    def after(self, acceptance: float) -> DualAveraging:
        """The state after a move whose proposals were accepted with this mean probability."""
        seen, lack = self.seen + 1, self.lack + self.aim - acceptance
        middle = math.log(10 * self.start)
        now = middle - math.sqrt(seen) / (_GAIN * (seen + _DELAY)) * lack
        now = min(max(now, -_MOST), _MOST)
        share = seen**-_FADING
        return replace(
            self,
            log_length=now,
            log_average=share * now + (1 - share) * self.log_average,
            lack=lack,
            seen=seen,
        )
