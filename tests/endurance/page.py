"""The page that keeps the table."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence

from . import FAMILIES
from .table import Row, markdown

_HEAD = """# What we promise and how often we tried to break it

`make endurance` (`python -m tests.endurance`) made this page; a short form of it runs among the tests. Each row is a
promise, the number of attempts to break it, and how many did. A promise with a share in its sentence holds while that
share does.
"""


def page(found: Sequence[tuple[str, Sequence[Row]]], *, seconds: float) -> str:
    """The page of all families."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    day = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    rows = [row for _, part in found for row in part if row.ours]
    parts = [
        _HEAD,
        f"Run on {day} on a shared machine ({os.cpu_count()} CPU cores, {cores} of them used, {platform.system()}, "
        f"Python {platform.python_version()}), in {seconds / 60:.0f} minutes. {sum(row.tries for row in rows):,} "
        f"attempts, {sum(row.broken for row in rows):,} of which broke a promise.\n",
    ]
    for name, part in found:
        parts.append(f"## {FAMILIES[name]}\n\n{markdown(part)}")
    return "\n".join(parts)
