"""What is asked of an evaluation, and the clock that all parts share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ..data.arrays import Dataset
from ..foundations.errors import UserError, unknown

FEWEST = 16
MOST_REAL = 10_000  # held-out items, and training items, that are looked at

Say = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Request:
    """What is asked; see `evaluated.evaluate`."""

    against: str | Dataset | None
    num: int
    features: str | nn.Module | None
    weights: Path | None
    metrics: tuple[str, ...] | None
    items: int
    settings: Mapping[str, Any]
    seed: int
    folder: Path | None
    say: Say

    def check(self, known: Mapping[str, Any]) -> None:
        """Refuses what can be known to be wrong before anything is made.

        Args:
            known: metrics by name.

        Raises:
            UserError: numbers out of range, or an unknown metric, by name.
        """
        if self.num < FEWEST:
            raise UserError(f"an evaluation needs at least {FEWEST} samples, got {self.num}")
        if self.items < 0:
            raise UserError(f"bits are measured on 0 items or more, got {self.items}")
        for name in self.metrics or ():
            if name not in known:
                raise unknown("metric", name, known)


@dataclass(frozen=True)
class Clock:
    """Seconds of each part, by name."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Adds what passes inside to a name."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
