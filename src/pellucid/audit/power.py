r"""What an audit would have seen: a finding of nothing is worth what its power is.

The cut of `copies` is the j-th smallest of M held-out ratios. So the rate of false alarms beyond it is itself a draw of
Beta(j, M + 1 - j), and the count among n new items is beta-binomial, exactly, whatever the law of the ratios is. A
count is a finding where such a one has a chance of at most 2.5 %. Few copies are seen best beyond a strict cut, where
false alarms are rare, and many faint ones beyond a wide cut: `copies` looks at two, which share the 2.5 %.
"""

from __future__ import annotations

from functools import lru_cache

from scipy.stats import betabinom, binom

CHANCE = 0.98
ALARM = 0.025


def chance_of(count: int, num: int, cut: int, held: int) -> float:
    """The probability that at least `count` of `num` new items lie beyond the `cut`-th of `held` ratios.

    >>> round(chance_of(1, 1, 1, 99), 12)  # one new item, below the smallest of 99
    0.01
    """
    return float(betabinom.sf(count - 1, num, cut, held + 1 - cut))


@lru_cache(maxsize=256)
def fewest(num: int, cut: int, held: int, *, alarm: float = ALARM) -> int:
    """The fewest flagged of `num` items that false alarms do not explain; num + 1 where even all would not do."""
    low, high = 0, num + 1
    while low < high:
        middle = (low + high) // 2
        if chance_of(middle, num, cut, held) <= alarm:
            high = middle
        else:
            low = middle + 1
    return low


@lru_cache(maxsize=256)
def seen_rate(num: int, cut: int, held: int, *, chance: float = CHANCE, alarm: float = ALARM) -> float:
    """The share of copies among `num` items that would have been found with the given probability, false alarms not
    counted; 1 where no share would.

    >>> round(seen_rate(4000, 1, 999), 4)
    0.0066
    """
    need = fewest(num, cut, held, alarm=alarm)
    if need > num:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if binom.sf(need - 1, num, middle) >= chance:
            high = middle
        else:
            low = middle
    return high
