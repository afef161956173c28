"""What an audit would have seen: a finding of nothing is worth what its power is."""

from __future__ import annotations

from functools import lru_cache

from scipy.stats import binom

from ..foundations.measured import wilson

CHANCE = 0.98


def fewest(num: int, level: float) -> int:
    """The fewest flagged of `num` items that false alarms at `level` do not explain, at 97.5 % confidence; num + 1
    where even all would not do."""
    low, high = 0, num + 1
    while low < high:  # the lower bound grows with the count
        middle = (low + high) // 2
        if wilson(middle, num)[0] > level:
            high = middle
        else:
            low = middle + 1
    return low


@lru_cache(maxsize=256)
def seen_rate(num: int, level: float, *, chance: float = CHANCE) -> float:
    """The smallest share of copies among `num` items that would have been found with the given probability.

    An item is flagged where it is a copy, and else with probability `level`.

    >>> round(seen_rate(4000, 0.002), 4)
    0.0037
    """
    need = fewest(num, level)
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if binom.sf(need - 1, num, level + (1 - level) * middle) >= chance:
            high = middle
        else:
            low = middle
    return high
