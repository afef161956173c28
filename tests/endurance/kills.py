"""SIGKILL at random moments of a run, and in every window of a save."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from pellucid.train import checkpoint

from .forked import Outcome, run
from .moments import Moments, at_save
from .table import Effort, Row, Tally
from .tiny import STEPS, Whole, go

SAVE = 7  # the save with a moment for every kill: it prunes, and earlier checkpoints stand


def rows(effort: Effort, whole: Whole) -> Iterator[Row]:
    """The promises about kills."""
    yield from _at_random(effort, whole)
    yield from _in_each_window(effort, whole)


def _at_random(effort: Effort, whole: Whole) -> Iterator[Row]:
    folder, rng = effort.folder("kills"), random.Random(effort.seed)
    resumed, kept, equal = Tally(), Tally(), Tally()
    kills, wanted, runs, before_first, within = 0, effort.times(200, 3), 0, 0, 0
    while kills < wanted or not equal.tries:
        path, acknowledged, seconds = folder / f"run-{runs:04d}", -1, 1.1 * whole.seconds
        runs += 1
        while True:
            kill = [(rng.uniform(0.0, seconds), signal.SIGKILL)] if kills < wanted else []
            done = run(lambda report, path=path: go(path, report), *kill)
            what = f"kill {kills} of run {runs}, after {acknowledged}: {done.lines[-1:]}"
            acknowledged = max([acknowledged, *done.numbers("saved")])
            if not done.killed:
                resumed.add(done.code == 0, what)
                equal.add(done.code == 0 and whole.same(path), what)
                break
            kills += 1
            within += any((path / "checkpoints").glob(".tmp-*"))
            found = checkpoint.latest(path)
            newest = -1 if found.folder is None else int(found.folder.name.removeprefix("step-"))
            resumed.add(newest >= 0 or acknowledged < 0, what)
            kept.add(newest >= acknowledged and not found.messages, what)
            if newest < 0:  # nothing had been saved yet: it is begun again
                before_first += 1
                shutil.rmtree(path, ignore_errors=True)
            if kills % 10 == 0:
                effort.say(f"kills: {kills} of {wanted}, {runs} runs")
            if newest == STEPS:  # killed after its last save: there is nothing to resume
                equal.add(whole.same(path), what)
                break
        shutil.rmtree(path)
    how = f"{kills} SIGKILLs at random moments of {runs} runs of {STEPS} steps that save after each; {within} fell into"
    how += f" a save, {before_first} before the first one (such a run is begun again)"
    yield resumed.row("A run that was killed can be resumed", how)
    yield kept.row("No acknowledged step is lost, and nothing torn has a name", "after each of these kills")
    yield equal.row("Killed and resumed, a run ends with the weights of one never killed, bit for bit", "each run")


def _in_each_window(effort: Effort, whole: Whole) -> Iterator[Row]:
    folder, tally = effort.folder("windows"), Tally()
    moments = [line.split(maxsplit=2)[2] for line in _killed_at(None, whole.copy(folder / "count")).lines if _is(line)]
    assert len(moments) > 30, moments
    chosen = range(len(moments)) if not effort.quick else (len(moments) // 2,)
    for at in chosen:
        path = whole.copy(folder / f"at-{at}")
        done = _killed_at(at, path)
        found = checkpoint.latest(path)
        good = done.killed and found.folder is not None and not found.messages
        good = good and int(found.folder.name[5:]) >= max(done.numbers("saved"))  # type: ignore[union-attr]
        good = good and run(lambda report, path=path: go(path, report)).code == 0 and whole.same(path)
        tally.add(good, f"moment {at}, {moments[at]}: {done.code} {done.lines[-1:]}")
        shutil.rmtree(path)
        if at % 10 == 0:
            effort.say(f"windows of a save: {at} of {len(moments)}")
    yield tally.row(
        "A kill in any window of a save loses nothing acknowledged, and the run ends the same",
        f"one SIGKILL at each of {len(moments)} moments of one save: before and half-way through each file, before "
        "each flush, around the manifest, each rename and each removal of the pruning",
    )


def _killed_at(moment: int | None, path: Path) -> Outcome:
    return run(lambda report: go(path, report, at_save(Moments(moment, report), SAVE)))


def _is(line: str) -> bool:
    return line.startswith("moment ")
