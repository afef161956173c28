"""`pellucid verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter


def verify(
    run: Path | None = None,
    /,
    *,
    only: str | None = None,
    items: int = 256,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Check every method against a law that is known exactly; or a trained model on its held-out data.

    Exit code 1 if a check fails. A run's checks are kept beside it, and its report shows them.

    Parameters
    ----------
    run
        A run folder; without it, the suite on exact laws.
    only
        Groups of the suite, parted by commas.
    items
        Held-out items that a run's checks use.
    json
        Print as JSON.
    """
    from ..foundations.errors import UserError
    from ..verify import GROUPS, Outcome
    from ..verify import run as run_suite
    from .console import say, say_json, steps_view

    if run is not None and only is not None:
        raise UserError("--only chooses among the checks on exact laws; leave it out when a run is given")
    outcomes: list[Outcome] = []
    page = None
    with steps_view("checking") as update:
        if run is None:
            groups = None if only is None else [name.strip() for name in only.split(",")]
            for name in groups or ():
                GROUPS[name]
            for outcome in run_suite(groups, progress=update):
                outcomes.append(outcome)
                if not json:
                    _line(outcome)
        else:
            from ..reporting import report_run
            from .kinds import opened

            model, serve = opened("verify", run, {})
            for outcome in serve(model, run, items):
                outcomes.append(outcome)
                if not json:
                    _line(outcome)
            page = report_run(run)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    seconds = sum(outcome.seconds for outcome in outcomes)
    if json:
        say_json({"passed": not failed, "checks": [outcome.to_json() for outcome in outcomes]})
    else:
        say(f"{len(outcomes) - len(failed)} of {len(outcomes)} checks passed in {seconds:.0f} s")
        for outcome in failed:
            say(f"failed: {outcome.name}: expected {outcome.expected}, found {outcome.observed} ({outcome.reason})")
        if page is not None:
            say(f"Report: {page}")
    return 1 if failed else 0


def _line(outcome: Any) -> None:
    from .console import say

    mark = "ok  " if outcome.passed else "FAIL"
    allowed = f", within {outcome.tolerance}: {outcome.reason}" if outcome.tolerance else ""
    found = f"expected {outcome.expected}, found {outcome.observed}"
    say(f"{mark} {outcome.seconds:6.2f} s  {outcome.name}: {found}{allowed}")
