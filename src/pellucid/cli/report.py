"""`pellucid report`."""

from __future__ import annotations

from pathlib import Path


def report(run: Path, /) -> int:
    """Write a run's report.html, report.json and model card anew.

    Parameters
    ----------
    run
        The run folder.
    """
    from ..reporting import report_run
    from .console import say

    say(str(report_run(run)))
    return 0
