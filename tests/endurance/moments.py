"""Every moment within a save at which a kill may fall, counted: before each file is opened, half-way through its
content, before each flush, before each rename and removal, and after the last of these."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pellucid.train import checkpoint

from .forked import Report

_EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


class Moments:
    """Counts the moments once armed, and kills this process at the one asked for. In a fork only."""

    def __init__(self, kill_at: int | None, report: Report) -> None:
        self._kill_at, self._report = kill_at, report
        self._count: int | None = None
        self._fsync, self._write = os.fsync, checkpoint.write_flushed
        sys.addaudithook(self._hook)
        os.fsync = self._flushed  # type: ignore[assignment]
        checkpoint.write_flushed = self._written

    def arm(self) -> None:
        """From here on it counts."""
        self._count = 0

    def reached(self, what: str) -> None:
        """One moment; the process may end here."""
        if self._count is None:
            return
        here, self._count = self._count, None  # what follows must not count itself
        self._report(f"moment {here} {what}")
        if here == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._count = here + 1

    def _hook(self, event: str, given: tuple[Any, ...]) -> None:
        if event in _EVENTS and (event != "open" or (isinstance(given[1], str) and set(given[1]) & set("xwa"))):
            self.reached(event)

    def _flushed(self, handle: Any) -> None:
        self.reached("before a flush")
        self._fsync(handle)

    def _written(self, path: Path, content: bytes) -> None:
        if self._count is not None and self._count == self._kill_at:
            path.write_bytes(content[: len(content) // 2])
        self.reached(f"half of {path.name} written")
        self._write(path, content)


def at_save(moments: Moments, step: int) -> Callable[[int], None]:
    """Arms them at the save of one step; the next save is the moment after the last."""

    def before(saving: int) -> None:
        if saving == step:
            moments.arm()
        elif saving > step:
            moments.reached("after the save")
            moments._count = None

    return before
