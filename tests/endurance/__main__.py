"""python -m tests.endurance [--quick] [--only FAMILY ...] [--write docs/endurance.md]"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a process with more threads cannot be forked; read as torch is imported

import torch

from . import FAMILIES, family
from .page import page
from .table import Effort, Row, markdown
from .tiny import whole


def main() -> int:
    """Runs the families, prints the table; 1 where a promise broke."""
    asked = argparse.ArgumentParser(prog="python -m tests.endurance", description="Tries to break what is promised.")
    asked.add_argument("--quick", action="store_true", help="a few attempts of each family")
    asked.add_argument("--only", nargs="+", choices=list(FAMILIES), default=list(FAMILIES), help="these families")
    asked.add_argument("--write", type=Path, help="the page to write the table to")
    asked.add_argument("--share", type=float, default=1.0, help="of the attempts, where there is little time")
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    torch.set_num_threads(1)
    scratch, began = Path(tempfile.mkdtemp(prefix="endurance-")), time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", file=sys.stderr, flush=True)

    effort, found = Effort(given.quick, scratch, say, given.seed, given.share), list[tuple[str, list[Row]]]()
    try:
        say("a run that nobody interrupts")
        reference = whole(effort.folder("reference"))
        for name in given.only:
            say(name)
            found.append((name, []))
            for row in family(name)(effort, reference):
                found[-1][1].append(row)
                say(f"{name}: {row.promise}: {row.tries:,} tries, {row.broken:,} broken")
                for fault in row.faults[:20] if row.ours else ():
                    say(f"  broken: {fault}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    rows = [row for _, part in found for row in part]
    print(markdown(rows))
    if given.write:
        given.write.parent.mkdir(exist_ok=True)
        given.write.write_text(page(found, seconds=time.monotonic() - began), encoding="utf-8")
    return int(not all(row.held for row in rows if row.ours))


if __name__ == "__main__":
    sys.exit(main())
