"""`pellucid tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def tune(
    run: Path,
    /,
    *,
    steps: str = "5,8,10",
    paths: int | None = None,
    calls: int = 1500,
    seed: int = 0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Fit solvers of very few steps to a trained model; `sample --solver fitted --steps 8` then uses them.

    Nothing is retrained: times and coefficients are learned from the model's own accurate trajectories.

    Parameters
    ----------
    run
        A run folder or a model folder.
    steps
        Numbers of steps, parted by commas.
    paths
        Trajectories to learn from; by the size of an item if absent, 64 for pictures.
    calls
        Calls of the model, on all trajectories at once, for each solver and stage: more take longer and fit better.
    seed
        Of the trajectories.
    json
        Print as JSON.
    """
    from ..foundations.errors import UserError
    from ..model import load
    from ..tune import save_tuned, usual_solver
    from ..tune import tune as fit_all
    from .console import say, say_json, steps_view

    try:
        counts = [int(part) for part in steps.split(",")]
    except ValueError:
        raise UserError(f"--steps takes numbers parted by commas, such as 5,8,10; got {steps!r}") from None
    model = load(run)
    with steps_view("fitting") as update:
        found = fit_all(model, counts, num_paths=paths, calls=calls, seed=seed, progress=update)
    path = save_tuned(model, run, found)
    if json:
        say_json({"file": str(path), **{str(k): {"error": v.error, "usual": v.usual} for k, v in found.items()}})
        return 0
    say(f"median error on paths they were not fitted to, beside {usual_solver(model)}:")
    for count, tuned in found.items():
        say(f"  {count:>3} steps  fitted {tuned.error:.4f}  usual {tuned.usual:.4f}")
    say(f"Kept in {path}. Use one: pellucid sample {run} --solver fitted --steps {max(found)}")
    return 0
