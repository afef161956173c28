"""What was measured on a run after training, kept beside it as evaluation.json so that a report can be made anew."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pellucid.foundations.durable import finite, write_atomic
from pellucid.foundations.errors import UserError
from pellucid.foundations.measured import Measured

from .blocks import Verdict

EVALUATION = "evaluation.json"


@dataclass(frozen=True)
class Shown:
    """A picture file of a run (path relative to the run folder) and the section in which it stands."""

    file: str
    section: str
    alt: str
    caption: str = ""
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """Numbers, verdicts, pictures, how long each part took in seconds, and the hash of the weights they speak of."""

    numbers: tuple[Measured, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    pictures: tuple[Shown, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    weights: str = ""


def write_evaluation(run: Path, evaluation: Evaluation) -> Path:
    """Writes evaluation.json into the run folder; a number that is not finite becomes null."""
    text = json.dumps(finite(dataclasses.asdict(evaluation)), indent=1, ensure_ascii=False, allow_nan=False)
    return write_atomic(Path(run) / EVALUATION, text + "\n")


def read_evaluation(run: Path) -> Evaluation:
    """Reads it back; an empty one where the run was not evaluated."""
    path = Path(run) / EVALUATION
    if not path.is_file():
        return Evaluation()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Evaluation(
            numbers=tuple(_measured(item) for item in data["numbers"]),
            verdicts=tuple(Verdict(**item) for item in data["verdicts"]),
            pictures=tuple(_shown(item) for item in data["pictures"]),
            timings={str(name): float(seconds) for name, seconds in data["timings"].items()},
            weights=str(data.get("weights", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it and evaluate the run again") from None


def _measured(item: dict[str, Any]) -> Measured:
    value = float("nan") if item["value"] is None else float(item["value"])
    return Measured(**{**item, "value": value})


def _shown(item: dict[str, Any]) -> Shown:
    return Shown(**{**item, "rows": tuple(item["rows"]), "columns": tuple(item["columns"])})
