"""`pellucid info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def info(path: Path, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Say what a run, a model or a sampled picture is; for a picture, the command that makes it again.

    Parameters
    ----------
    path
        A run folder, a checkpoint, a model folder, or a .png file that pellucid made.
    json
        Print as JSON.
    """
    from .console import say, say_json

    facts = _of_picture(path) if path.is_file() else _of_model(path)
    if json:
        say_json(facts)
        return 0
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        say(f"{name:<{width}}  {value}")
    return 0


def _of_picture(path: Path) -> dict[str, object]:
    from ..foundations.errors import UserError
    from ..made import read_settings
    from ..train import checkpoint

    told = read_settings(path)
    facts: dict[str, object] = {"make it again": told.command(), "make it alone": told.command_alone()}
    try:
        newest = checkpoint.latest(Path(told.model)).folder
        weights = None if newest is None else checkpoint.verify(newest)["metadata"].get("weights")
    except UserError:
        weights = None
    if weights is not None and weights != told.weights:
        facts["note"] = (
            f"{told.model} has learned since: its weights are now {weights[:12]}, and it made this with others"
        )
    return {**facts, **told.to_json()}


def _of_model(path: Path) -> dict[str, object]:
    from ..train.run import CONFIG, Run
    from .kinds import opened

    facts: dict[str, object] = {}
    if (path / CONFIG).is_file():
        run = Run.open(path)
        trained = run.lines("train")
        last = trained[-1] if trained else {}
        facts = {"run": str(path), "recipe": run.config.get("recipe"), "budget": run.config["training"]["budget"]}
        facts |= {name: last.get(name) for name in ("step", "items", "loss", "seconds")}
    model, tell = opened("info", path, {})
    return facts | tell(model)
