"""What each process does in the tests of training together: `python -m tests.train.together JOB FOLDER`."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.group import Group, joined
from pellucid.train.batches import Batch, Batches
from pellucid.train.loop import State
from pellucid.train.start import begin, resume
from pellucid.train.trainee import Diverged, Trainee

from ..small import Watcher, settings

# Parts of 11, 11 and 10 items, which two processes cannot halve; dropout, a loss that learns, and times that follow it.
HARD: dict[str, Any] = {
    "training__accumulate": 3,
    "network__dropout": 0.2,
    "training__uncertainty": True,
    "process__density": "importance",
}
AT = 4  # the step at which something happens to process 1


def happens(act: Any) -> None:
    """Makes something happen in this process as step `AT` begins."""
    step = Trainee.step

    def eventful(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs["step"] == AT:
            act()
        return step(self, *args, **kwargs)

    Trainee.step = eventful  # type: ignore[method-assign]


def poisoned(at: Any) -> Any:
    """Batches whose items are no numbers from step `AT` on."""

    def nothing(self: Batches, start: int, count: int, *args: Any, **kwargs: Any) -> Batch:
        batch: Batch = at(self, start, count, *args, **kwargs)
        return replace(batch, x0=batch.x0 * float("nan")) if start >= 32 * (AT - 1) else batch

    return nothing


def several(folder: Path, group: Group) -> dict[str, Any]:
    """Four runs one after another: whole, gone on with, stopped in one process, not finite in one process."""
    found: dict[str, Any] = {}
    watcher = Watcher()

    def ended(name: str, state: State, number: int | None) -> None:
        found[name] = {"step": state.step, "items": state.items, "signal": number}

    done = begin(settings(**HARD), folder / "whole", observer=watcher, group=group)
    ended("whole", done.state, done.signal)
    done = resume(folder / "gone-on", more="160-items", observer=watcher, group=group)
    ended("gone-on", done.state, done.signal)
    step, at = Trainee.step, Batches.at
    if group.rank == 1:
        happens(lambda: signal.raise_signal(signal.SIGTERM))
    done = begin(settings(), folder / "stopped", observer=watcher, group=group)
    ended("stopped", done.state, done.signal)
    Trainee.step = step  # type: ignore[method-assign]
    if group.rank == 1:
        Batches.at = poisoned(at)  # type: ignore[method-assign]
    try:
        begin(settings(), folder / "diverged", observer=watcher, group=group)
    except Diverged as error:
        found["diverged"] = str(error)
    return found


def main(job: str, folder: Path) -> None:
    """Joins the others and does the job: "several", or a run in which process 1 gets the signal of that name."""
    with joined() as group:
        if job == "several":
            found = several(folder, group)
            (folder / f"found-{group.rank}.json").write_text(json.dumps(found))
            return
        if group.rank == 1:
            happens(lambda: os.kill(os.getpid(), signal.Signals[job]))
        begin(settings(), folder / "run", observer=Watcher(), group=group)


def one_of_two(rank: int, port: int, timeout: int, output: Path, function: Any, *given: Any) -> None:
    """Runs a function as one of two processes, as torchrun would start it, and keeps what it prints."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in {**names, "PELLUCID_TIMEOUT": timeout}.items()})
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{output}-{rank}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    torch.set_num_threads(1)
    function(*given)


def spoken(job: str, folder: Path) -> None:
    """The job, and what a command would say of its failure."""
    try:
        main(job, folder)
    except UserError as error:
        print(f"told: {error}", file=sys.stderr, flush=True)
        sys.exit(2)


if __name__ == "__main__":
    spoken(sys.argv[1], Path(sys.argv[2]))
