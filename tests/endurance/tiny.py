"""A tiny run that saves after every step and reports each save that was acknowledged, and what it must end as."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pellucid.train import checkpoint, loop
from pellucid.train.start import begin, resume

from ..small import Watcher, hashes, settings
from .forked import Report, run

STEPS = 10
GIVEN: dict[str, Any] = {"training__budget": f"{32 * STEPS}-items", "training__save_every": 1e-9, "training__keep": 2}
Hook = Callable[[int], None]


def go(path: Path, report: Report, before_save: Hook | None = None) -> None:
    """Begins the run, or goes on with it where it has been begun.

    Reports "saved STEP" once the checkpoint of a step is acknowledged, the observer's messages and the signal that
    stopped it. In a fork only: it replaces the loop's `save`.
    """
    save = loop.save

    def told(into: Any, trainee: Any, state: loop.State, documents: Any, *, keep: int) -> None:
        if before_save is not None:
            before_save(state.step)
        save(into, trainee, state, documents, keep=keep)
        report(f"saved {state.step}")

    loop.save = told
    watcher = _Told(report)
    report("began")
    if checkpoint.steps(path):
        done = resume(path, observer=watcher)
    else:
        done = begin(settings(**GIVEN), path, observer=watcher)
    report(f"signal {done.signal or 0}")


class _Told(Watcher):
    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report

    def message(self, text: str) -> None:
        self._report(f"message {text}")


@dataclass(frozen=True)
class Whole:
    """The run that nobody interrupted: its hashes and how long it took; and the same run stopped at step 4."""

    path: Path
    hashes: dict[str, str]
    seconds: float
    early: Path

    def same(self, path: Path) -> bool:
        """Whether a run ended with the same weights, averages and moments, bit for bit."""
        return hashes(path) == self.hashes

    def copy(self, path: Path) -> Path:
        """The early run, again, to go on with."""
        return Path(shutil.copytree(self.early, path))


def whole(folder: Path) -> Whole:
    """Trains the run twice, in this process (which leaves everything imported), and once to its fourth step."""
    given = settings(**GIVEN)
    begin(given, folder / "first", observer=Watcher())
    began = time.perf_counter()
    path = begin(given, folder / "whole", observer=Watcher()).run.path
    seconds = time.perf_counter() - began
    ends = hashes(path)
    assert hashes(folder / "first") == ends, "two runs of one seed differ: nothing that follows would mean anything"
    early = folder / "early"
    assert run(lambda report: go(early, report, _stop_at(4))).code == 0
    assert checkpoint.steps(early)[0].name == "step-00000004"
    return Whole(path, ends, seconds, early)


def _stop_at(step: int) -> Hook:
    def before_save(saving: int) -> None:
        if saving == step:
            signal.raise_signal(signal.SIGINT)

    return before_save


__all__ = ["STEPS", "Whole", "go", "whole"]
