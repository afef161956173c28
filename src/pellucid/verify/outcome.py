"""What a check says: what was expected, what was seen, how much they may differ and why."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """The result of one comparison.

    Attributes:
        name: what was compared.
        expected: the exact value, in words or digits.
        observed: what was found.
        tolerance: how far apart they may lie.
        reason: where the tolerance comes from.
        passed: whether they agree.
        seconds: what it cost.
        group: the part of the suite, filled in by it.
    """

    name: str
    expected: str
    observed: str
    tolerance: str
    reason: str
    passed: bool
    seconds: float = 0.0
    group: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


Check = Callable[[], Iterator[Outcome]]


def near(
    name: str, observed: float, expected: float, tolerance: float, reason: str, *, relative: bool = False
) -> Outcome:
    """A number against its exact value. Whatever is not a number fails."""
    gap = abs(observed - expected) / (abs(expected) if relative else 1.0)
    unit = " relative" if relative else ""
    passed = math.isfinite(observed) and gap <= tolerance
    return Outcome(name, _digits(expected), _digits(observed), f"{tolerance:.2g}{unit}", reason, passed)


def below(name: str, observed: float, limit: float, reason: str) -> Outcome:
    """An error, or a distance, against what it may be at most."""
    passed = math.isfinite(observed) and observed <= limit
    return Outcome(name, f"at most {limit:.3g}", _digits(observed), f"{limit:.3g}", reason, passed)


def timed(check: Check, group: str) -> Iterator[Outcome]:
    """The check's outcomes with the seconds that each took; a check that raises is a failed outcome, not an end."""
    started = time.perf_counter()
    try:
        for outcome in check():
            now = time.perf_counter()
            yield Outcome(**{**asdict(outcome), "seconds": now - started, "group": group})
            started = time.perf_counter()
    except Exception as error:  # noqa: BLE001 - the suite's promise is a table, whatever a user's own solver does
        words = f"{type(error).__name__}: {error}"
        yield Outcome(check.__name__, "no error", words, "", "", False, time.perf_counter() - started, group)


def _digits(value: float) -> str:
    return f"{value:.7g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.4e}"
