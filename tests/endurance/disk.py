"""Several processes that want one run folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from pellucid.foundations.errors import UserError
from pellucid.train.run import Run

from .forked import Report, start
from .table import Effort, Row, Tally
from .tiny import Whole

_RACERS = 8


def rows(effort: Effort, whole: Whole) -> Iterator[Row]:
    """The promise about owners."""
    path, tally = whole.copy(effort.folder("race") / "run"), Tally()
    for race in range(effort.times(50, 2)):
        at = time.time() + 1.0  # by then all of them are there
        children = [start(lambda report, at=at: _race(path, at, report)) for _ in range(_RACERS)]
        codes = [child.wait().code for child in children]
        tally.add(sorted(codes) == [0] + [2] * (_RACERS - 1), f"race {race}: {codes}")
    yield tally.row(
        "Of processes that want one run at once, exactly one gets it and the others are refused with a sentence",
        f"{_RACERS} processes at one moment, for the lock of one folder",
    )


def _race(path: Path, at: float, report: Report) -> None:
    run = Run.open(path)
    time.sleep(max(0.0, at - time.time()))
    try:
        with run.lock():
            report("owner")
            time.sleep(1.0)  # longer than all the others need to come
    except UserError as error:
        if "in use" not in str(error):
            raise AssertionError(str(error)) from error
        raise


__all__ = ["rows"]
