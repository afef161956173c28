"""What an evaluation found, as plain values that are written as JSON and read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..foundations.durable import finite
from ..foundations.errors import UserError
from ..metrics.base import Scored
from ..report import Shown
from ..score import Score


@dataclass(frozen=True)
class Words:
    """A table of words or numbers that goes on the page as it is."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    folded: bool = False


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of one model.

    Attributes:
        name: what to call the model.
        kind: of model, in a word.
        weights: sha256 of its weights.
        settings: what its samples depend on.
        data: what the real items are.
        num, num_real, num_train: generated, held-out and training items that entered.
        features: in words.
        numbers: every metric that applies.
        refused: why others do not, by name.
        likelihood: in bits; () where it is not known.
        likelihood_refused: why not.
        by_class: some metrics of each class.
        cost: calls of networks and seconds for one sample.
        notes: what a reader should know, a sentence each.
        pictures: files in the evaluation's folder.
        words: tables of words.
        table: the measures of a table's rows, as `tables.page.sections` lays them out; None of other data.
        timings: seconds of each part.
        version: of pellucid.
    """

    name: str
    kind: str
    weights: str
    settings: Mapping[str, Any]
    data: str
    num: int
    num_real: int
    num_train: int
    features: str
    numbers: tuple[Scored, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    likelihood: tuple[Score, ...] = ()
    likelihood_refused: str = ""
    by_class: Mapping[str, tuple[Scored, ...]] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    pictures: tuple[Shown, ...] = ()
    words: tuple[Words, ...] = ()
    table: Mapping[str, Any] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    version: str = ""

    def number(self, name: str) -> Scored | None:
        """A number by its name."""
        return next((scored for scored in self.numbers if scored.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; `from_json` reads it back."""
        plain = asdict(replace(self, likelihood=()))
        plain["likelihood"] = [score.to_json() for score in self.likelihood]
        found: dict[str, Any] = finite(plain)
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Evaluated:
        """What `to_json` wrote."""
        known = dict(values)
        known["numbers"] = tuple(_scored(each) for each in known["numbers"])
        known["by_class"] = {name: tuple(map(_scored, row)) for name, row in known["by_class"].items()}
        known["likelihood"] = tuple(Score(**_numbers(each)) for each in known["likelihood"])
        known["pictures"] = tuple(
            Shown(**{**each, "rows": tuple(each["rows"]), "columns": tuple(each["columns"])})
            for each in known["pictures"]
        )
        known["words"] = tuple(
            Words(each["title"], tuple(each["head"]), tuple(map(tuple, each["rows"])), each["folded"])
            for each in known["words"]
        )
        known["notes"] = tuple(known["notes"])
        return cls(**known)


def read(file: Path) -> Evaluated | None:
    """What an evaluation.json holds; None where there is no such file.

    Raises:
        UserError: a file that cannot be read.
    """
    if not file.is_file():
        return None
    try:
        return Evaluated.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{file} cannot be read ({error}): delete it and evaluate again") from None


def _scored(values: Mapping[str, Any]) -> Scored:
    known = {**values, "warnings": tuple(values["warnings"])}
    return Scored(**(known | ({"value": float("nan")} if values["value"] is None else {})))


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float("nan") if value is None else value for name, value in values.items()}
