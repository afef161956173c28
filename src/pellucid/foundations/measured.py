r"""A number that was measured, with its error bar and its sample size; and the interval of a proportion.

For k successes in n trials, with z the normal quantile and p = k/n, Wilson's interval is

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n).                                   (1)

It stays within [0, 1] and is honest at p = 0 and p = 1, where the textbook p ± z√(p(1-p)/n) has width zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Measured:
    """One measured number.

    `low` and `high` bound it at `confidence`; `count` is the number of items it was measured on; `share` says that
    it lies in [0, 1] by its nature; `label` is what to call it where `name`, which programs read, would not do.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    count: int | None = None
    unit: str = ""
    note: str = ""
    confidence: float = 0.95
    share: bool = False
    label: str = ""

    @property
    def title(self) -> str:
        """The name as a person reads it: `label_agreement` is "Label agreement"."""
        words = self.label or self.name.replace("_", " ").strip()
        return words[:1].upper() + words[1:]

    @property
    def text(self) -> str:
        """The value with its unit, to the digits that its error bar supports."""
        return format_value(self.value, self._digits()) + (f" {self.unit}" if self.unit else "")

    @property
    def interval(self) -> str:
        """The error bar and the sample size in words, empty where there is neither."""
        parts = []
        if self.low is not None and self.high is not None:
            low, high = (format_value(bound, self._digits()) for bound in (self.low, self.high))
            parts.append(f"{low} to {high} ({100 * self.confidence:g} %)")
        if self.count is not None:
            parts.append(f"n = {self.count:,}")
        return ", ".join(parts)

    def _digits(self) -> int | None:
        """Decimals such that the error bar spans two digits: more would be noise, fewer would hide it."""
        if self.low is None or self.high is None or not 0 < self.high - self.low < math.inf:
            return None
        return min(8, max(0, 1 - math.floor(math.log10(self.high - self.low))))


def format_value(value: float, decimals: int | None = None) -> str:
    """A number for a person: fixed decimals where given, else four significant digits.

    >>> format_value(0.97), format_value(1234567.0), format_value(0.97, 3), format_value(2.5e-7)
    ('0.97', '1,234,567', '0.970', '2.5e-07')
    """
    if not math.isfinite(value):
        return "not finite"
    if decimals is not None:
        return f"{value:,.{decimals}f}"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1e4:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of a proportion by equation (1); raises ValueError where there are no trials.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    >>> low, high = wilson(970, 1000)
    >>> round(low, 4), round(high, 4)
    (0.9575, 0.9789)
    """
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"need 0 <= successes <= trials and trials > 0, got {successes} of {trials}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    p = successes / trials
    middle = p + z2 / (2 * trials)
    half = math.sqrt(z2 * (p * (1 - p) / trials + z2 / (4 * trials**2)))
    scale = 1 + z2 / trials
    low, high = (middle - half) / scale, (middle + half) / scale
    # At the ends the bound is exactly 0 or 1; round-off would put it a hair beside.
    return (0.0 if successes == 0 else low), (1.0 if successes == trials else high)


def proportion(name: str, successes: int, trials: int, *, note: str = "") -> Measured:
    """A measured share with Wilson's 95 % interval.

    >>> proportion("label_agreement", 970, 1000).interval
    '0.957 to 0.979 (95 %), n = 1,000'
    """
    low, high = wilson(successes, trials)
    return Measured(name, successes / trials, low, high, trials, note=note, share=True)
