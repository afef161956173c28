"""`pellucid audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

Flag = Annotated[bool, Parameter(negative="")]


def audit(
    run: Path,
    /,
    *,
    train: str | None = None,
    holdout: str | None = None,
    num: Annotated[int, Parameter(name=["--num", "-n"])] = 1000,
    items: int = 500,
    shadow: int = 0,
    shadow_budget: str | None = None,
    shadows: str | None = None,
    level: float | None = None,
    fail_on: str | None = None,
    allow_overlap: Flag = False,
    seed: int = 0,
    out: Path | None = None,
    json: Flag = False,
) -> int:
    """Say what a trained model memorised of its training items: copies, extraction, membership, canaries.

    Every finding has its error rate, and nothing found is told with what would have been seen. Samples are kept as they
    are made, so that an audit that was stopped goes on where it was. Exit code 1 with --fail-on.

    Parameters
    ----------
    run
        A run folder, a checkpoint, a model folder or a name of the shelf.
    train
        What it was trained on: a folder, a file or a built-in set; the run's own if absent.
    holdout
        Items of the same kind that it has not seen; what the run held out if absent.
    num
        How many samples.
    items
        Items of each side, at most, in the test of membership.
    shadow
        Train so many shadow models, an even number, for the likelihood-ratio attack: slow, but it sees most.
    shadow_budget
        How long each is trained, as in 50k-items or 2m; together as many items as the run itself saw, if absent.
    shadows
        Run folders of shadow models that are there already, parted by commas.
    level
        False-alarm rate of the search for copies; 0.01 if absent.
    fail_on
        Findings that make the exit code 1, parted by commas: copies, extraction, membership.
    allow_overlap
        Leave out held-out items that are training items too, in place of refusing.
    seed
        Any integer.
    out
        A folder for page, numbers and pictures, which may hold a former audit; RUN/audit if absent.
    json
        Print the result as JSON.
    """
    from ..audit.report import verdicts, write
    from ..audit.result import FINDINGS
    from ..audit.run import audited, place
    from ..foundations.errors import UserError, unknown
    from ..reporting import report_run
    from ..train.run import CONFIG
    from .console import say, say_json, steps_view, warn

    wanted = [name.strip() for name in fail_on.split(",")] if fail_on else []
    for name in wanted:
        if name not in FINDINGS:
            raise unknown("finding", name, FINDINGS)
    if num < 1 or items < 2:
        raise UserError(f"an audit takes at least 1 sample and 2 items of each side, got {num} and {items}")
    folder = place(run, out)
    given: list[Any] = [name.strip() for name in shadows.split(",")] if shadows else []
    if shadow:
        given += _trained(run, shadow, shadow_budget, (train, holdout))
    with steps_view("auditing") as update:
        found = audited(
            run,
            train,
            holdout,
            num=num,
            items=items,
            shadows=given,
            level=level,
            allow_overlap=allow_overlap,
            seed=seed,
            folder=folder,
            progress=lambda what, done, total: update(done, total, what),
        )
    page = write(found, folder)
    if out is None and (run / CONFIG).is_file():
        report_run(run)
    hit = [name for name in found["failed"] if name in wanted]
    if json:
        say_json({**found, "page": str(page)})
        return 1 if hit else 0
    for verdict in verdicts(found):
        mark = {True: "ok  ", False: "FOUND", None: "note"}[verdict.passed]
        say(f"{mark:<5} {verdict.text}")
    say(f"the page: {page}")
    if hit:
        warn(f"found, and asked to fail on: {', '.join(hit)}")
    return 1 if hit else 0


def _trained(run: Path, num: int, budget: str | None, given: tuple[str | None, str | None]) -> list[Any]:
    """Shadow models of a run, trained where they are not there yet."""
    from ..audit.shadows import train_shadows
    from ..foundations.errors import UserError
    from ..train.run import Run
    from .console import training_view

    if any(given):
        raise UserError(
            "--shadow trains on halves of the run's own items, so --train and --holdout do not go with it: leave them "
            "out, or give --shadows, runs of your own on halves of these items"
        )
    with training_view() as view:
        return list(train_shadows(Run.open(run), num, budget=budget, observer=view, told=view.message))
