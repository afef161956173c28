"""Work in a process of its own that may be killed: a fork of this one, which has imported everything already."""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from pellucid.foundations.errors import UserError

Report = Callable[[str], None]
REFUSED, CRASHED = 2, 70


@dataclass(frozen=True)
class Outcome:
    """What a process reported before its end, line by line, and its exit code (negative: the signal that ended it)."""

    lines: tuple[str, ...]
    code: int

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    def numbers(self, word: str) -> list[int]:
        """The numbers behind a word, as in "saved 12"."""
        return [int(line.split()[1]) for line in self.lines if line.split()[:1] == [word]]


@dataclass(frozen=True)
class Child:
    """A process that was started; `wait` must be called once."""

    pid: int
    pipe: int

    def wait(self, *signals: tuple[float, int]) -> Outcome:
        """Sends each signal at its time (seconds from now), and waits for the end."""
        began, content, left = time.monotonic(), b"", sorted(signals)
        while True:
            pause = max(0.0, began + left[0][0] - time.monotonic()) if left else None
            if select.select([self.pipe], [], [], pause)[0]:
                part = os.read(self.pipe, 1 << 16)
                content += part
                if not part:
                    break
            elif left:
                os.kill(self.pid, left.pop(0)[1])
        os.close(self.pipe)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return Outcome(tuple(content.decode().splitlines()), code)


def start(work: Callable[[Report], None]) -> Child:
    """Runs `work(report)` in a fork; each report arrives whole, also where a kill follows at once."""
    pipe, out = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(pipe)
        _work(work, out)
    os.close(out)
    return Child(pid, pipe)


def _work(work: Callable[[Report], None], out: int) -> NoReturn:
    def report(line: str) -> None:
        os.write(out, " / ".join(line.splitlines()).encode() + b"\n")

    code = 0
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        work(report)
    except UserError as error:
        report(f"refused {error}")
        code = REFUSED
    except KeyboardInterrupt:
        report("interrupted")
        code = 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001 (whatever it was, it is reported, and this fork ends)
        report(f"crashed {traceback.format_exc()}")
        code = CRASHED
    finally:
        os._exit(code)


def run(work: Callable[[Report], None], *signals: tuple[float, int]) -> Outcome:
    """`start` and `wait`."""
    return start(work).wait(*signals)
