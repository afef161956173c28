"""What a person sees while waiting: a bar with rate and remaining time on a terminal, lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

_QUIET_SECONDS = 10.0  # between lines where there is no terminal
_WIDE = 220


def console() -> Console:
    """Where progress and messages go: standard error, so that standard output stays for results."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str = "") -> None:
    """A line of result, on standard output."""
    print(text, flush=True)


def say_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> None:
    """A table of results, on standard output; the first `words` columns stand left, the others right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for column, name in enumerate(head):
        table.add_column(name, justify="left" if column < words else "right")
    for row in rows:
        table.add_row(*row)
    out = Console(highlight=False)
    if not out.is_terminal:  # where nobody looks at a screen, a line is as long as it is
        out = Console(highlight=False, width=_WIDE)
    out.print(table)


def say_json(value: Any) -> None:
    """A result as JSON, on standard output."""
    print(json.dumps(value, indent=2, default=str), flush=True)


class TrainingView:
    """Shows a training run: it satisfies the loop's `Observer`."""

    def __init__(self, progress: Progress, out: Console) -> None:
        self._progress, self._out = progress, out
        self._task = progress.add_task("training", total=None, loss="", rate="")
        self._said = 0.0

    def progress(self, *, items: int, total: int, loss: float, rate: float) -> None:
        """Moves the bar; without a terminal, writes a line now and then."""
        facts: dict[str, Any] = {"loss": f"loss {loss:.4f}", "rate": f"{rate:,.0f} items/s"}
        self._progress.update(self._task, completed=min(items, total), total=total, **facts)
        now = time.monotonic()
        if not self._out.is_terminal and (now - self._said > _QUIET_SECONDS or items >= total):
            left = max(0, total - items) / max(rate, 1e-9)
            self._out.print(f"{items:,}/{total:,} items, {facts['loss']}, {facts['rate']}, {left:.0f} s left")
            self._said = now

    def message(self, text: str) -> None:
        """Writes a line above the bar."""
        self._out.print(text, markup=False)


@contextmanager
def training_view(*, shown: bool = True) -> Iterator[TrainingView]:
    """A bar with loss, items a second and the time that remains; nothing at all where it is not to be shown."""
    out = console()
    out.quiet = not shown
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, disable=not out.is_terminal, refresh_per_second=4) as bar:
        yield TrainingView(bar, out)


@contextmanager
def steps_view(description: str) -> Iterator[Any]:
    """A bar for counted work: yields a function of (done, total), and of what is being done where that changes."""
    out = console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, disable=not out.is_terminal, refresh_per_second=4, transient=True) as bar:
        task = bar.add_task(description, total=None)

        def update(done: int, total: int, what: str | None = None) -> None:
            bar.update(task, completed=done, total=total, description=what or description, refresh=False)

        yield update


def warn(text: str) -> None:
    """A line that a person should read, on standard error."""
    print(text, file=sys.stderr, flush=True)
