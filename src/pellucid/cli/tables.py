"""What verbs do with a model of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .conditions import assigned
from .diffusion import trained_on

_DRAWS = 20
_SHOWN = 5


def sample(
    model: Any,
    num: int = 16,
    *,
    where: list[str] | None = None,
    solver: str | None = None,
    steps: Any = None,
    grid: str | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Rows, written as csv; the first ones are printed."""
    from ..data.tables import read_rows
    from ..tables.made import make_table
    from .console import say, say_json, steps_view
    from .kinds import refuse_unknown

    if steps == "auto":
        refuse_unknown("a model of a table", ["steps"], [])
    with steps_view("sampling") as update:
        made = make_table(
            model,
            num,
            out=out,
            where=assigned("--where", where),
            solver=solver,
            steps=steps,
            grid=grid,
            seed=seed,
            first=first,
            batch_size=batch_size,
            progress=update,
        )
    if json:
        say_json(made.to_json())
        return 0
    header, rows = read_rows(made.files[0])
    for row in [header, *(cells for _, cells in rows[:_SHOWN])]:
        say(", ".join(row))
    say(f"{num} rows in {made.files[0]} ({made.seconds:.1f} s); at one look: {made.files[1]}")
    return 0


def restore(
    model: Any,
    *,
    files: tuple[Path, ...] = (),
    samples: int | None = None,
    solver: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """The missing cells of csv files, filled in."""
    from ..tables.filled import fill_files
    from .console import say, say_json, steps_view, warn

    with steps_view("filling in") as update:
        done = fill_files(
            model,
            files,
            _DRAWS if samples is None else samples,
            out=out,
            solver=solver,
            steps=steps,
            seed=seed,
            batch_size=batch_size,
            progress=update,
        )
    for note in done.notes:
        warn(note)
    if json:
        say_json(done.to_json())
        return 0
    say(f"{done.cells} missing cells filled in {done.seconds:.1f} s:")
    for file in done.files[:2]:
        say(f"  {file}")
    return 0


def likelihood(
    model: Any, run: Path, data: Any, *, evaluations: int = 64, seed: int = 0, batch_size: int | None = None
) -> list[Any]:
    """Scores of rows by the bound."""
    from ..tables.score import table_scores
    from .console import steps_view

    with steps_view("likelihood") as update:
        return table_scores(model, data, evaluations=evaluations, seed=seed, batch_size=batch_size, progress=update)


def info(model: Any) -> dict[str, object]:
    """What `pellucid info` says of it."""
    card = model.card
    parameters = sum(p.numel() for p in model.denoiser.parameters())
    return {
        "weights": model.weights_hash,
        "network": f"rows, width {card.network.width}, {card.network.blocks} blocks, {parameters:,} parameters",
        **{f"column {one.name}": one.sentence() for one in model.codec.fields},
        "process": f"{card.process.schedule} schedule of numbers, {card.process.kind} categories",
        "sampling": f"{card.sampling.solver}, {card.sampling.steps} steps",
        "trained on": trained_on(card),
    }
