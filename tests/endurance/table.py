"""What a family of attempts found, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One promise, how often it was tried, and how often it broke.

    Attributes:
        promise: a sentence.
        tries: how many attempts.
        broken: how many of them broke it.
        how: what an attempt was.
        ours: False for another library's row, which is there to compare and is no promise of ours.
        least: the share of tries that must hold; 1 for nearly all promises.
        faults: what broke it, a line each.
    """

    promise: str
    tries: int
    broken: int
    how: str
    ours: bool = True
    least: float = 1.0
    faults: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """Whether something was tried and enough of it held."""
        return self.tries > 0 and self.tries - self.broken >= self.least * self.tries


@dataclass
class Tally:
    """Counts attempts as they are made."""

    tries: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, held: bool, what: str) -> None:
        """One attempt; `what` is kept where it broke the promise."""
        self.tries += 1
        if not held:
            self.faults.append(what)

    def row(self, promise: str, how: str, **others: object) -> Row:
        """The row of all that was added."""
        return Row(promise, self.tries, len(self.faults), how, faults=tuple(self.faults), **others)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Effort:
    """How much is tried, where, and who is told."""

    quick: bool
    scratch: Path
    say: Callable[[str], None]
    seed: int = 0
    share: float = 1.0

    def times(self, whole: int, quick: int) -> int:
        """A number of attempts."""
        return quick if self.quick else max(1, round(self.share * whole))

    def folder(self, name: str) -> Path:
        """A new folder within the scratch folder."""
        path = self.scratch / name
        path.mkdir(parents=True)
        return path


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    lines = ["| What is promised | Tries | Broken | How |", "|---|--:|--:|---|"]
    lines += [f"| {row.promise} | {row.tries:,} | {row.broken:,} | {row.how} |" for row in rows]
    return "\n".join(lines) + "\n"
