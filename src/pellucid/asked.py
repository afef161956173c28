"""What samples are asked for: from what a user gave to the tensors that a model takes, encoded once.

Several values of one condition go round in turn: sample i gets the value i mod n. A model is asked for all of its
classes in turn where it is asked for nothing at all; what is left out beside something that is given is "none".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .data.conditions import Part
from .foundations.errors import UserError, unknown
from .model import Model
from .tokens.model import TokenModel

Labels = Sequence[str | int] | Tensor | str | int | None
Texts = Sequence[str] | str | None

_TEXTS = ("text", "states")


@dataclass(frozen=True)
class Asked:
    """What a user gave, in their own words.

    Attributes:
        label: a class, or several.
        text: a text, or several, for the model's one text column, whatever its name.
        where: value, or several, by the condition's name.
        negative: of each condition the value to move away from, by its name, or "text"; "none" for what it leaves out.
    """

    label: Labels = None
    text: Texts = None
    where: Mapping[str, Any] = field(default_factory=dict)
    negative: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        """Whether nothing was given."""
        return self.label is None and self.text is None and not self.where and not self.negative

    def by_name(self, schema: Sequence[Part]) -> dict[str, list[Any]]:
        """The values of each condition that was given, by its name.

        Raises:
            UserError: one that the model does not understand, with those that it does, or one given twice.
        """
        found = {_named(schema, name).name: value for name, value in self.where.items()}
        for name, value in (("label", self.label), ("text", self.text)):
            if value is not None:
                part = _named(schema, name)
                if part.name in found:
                    raise UserError(f"{part.name} is given twice: as {name} and by its own name")
                found[part.name] = value
        by_name = {part.name: part for part in schema}
        listed = {name: by_name[name].listed(value) for name, value in found.items()}
        for name, values in listed.items():
            if not values:
                raise UserError(f"{name} is an empty list: give a value, or leave it out")
        return {part.name: listed[part.name] for part in schema if part.name in listed}

    def away(self, schema: Sequence[Part]) -> dict[str, Any]:
        """The value to move away from, of each condition that has one of its own.

        Raises:
            UserError: as `by_name`, or several values.
        """
        found = {}
        for name, value in self.negative.items():
            part = _named(schema, name)
            values = part.listed(value)
            if len(values) != 1:
                raise UserError(f"the negative {part.name} is one value for all samples, got {len(values)}")
            found[part.name] = values[0]
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values; arrays are told by their shape."""
        label = [self.label] if isinstance(self.label, str | int) else self.label
        text = [self.text] if isinstance(self.text, str) else self.text
        return {
            "label": None if label is None else [str(each) for each in label],
            "text": None if text is None else list(text),
            "where": {name: plain(value) for name, value in self.where.items()},
            "negative": {name: plain(value) for name, value in self.negative.items()},
        }


@dataclass(frozen=True, eq=False)
class Conditions:
    """What samples are asked for, as a network takes it.

    Attributes:
        given: of each condition the values in turn, (n, *).
        away: of the same conditions what guidance moves away from, (1, *).
        words: the same values as the user gave them.
    """

    given: dict[str, Tensor]
    away: dict[str, Tensor]
    words: dict[str, list[Any]]

    def at(self, ids: Sequence[int]) -> dict[str, Tensor]:
        """The conditions of samples, (B, *), by their numbers."""
        return {name: value[[i % len(value) for i in ids]] for name, value in self.given.items()}

    def words_at(self, i: int) -> dict[str, Any]:
        """What sample i is asked for, in plain words."""
        return {name: plain(values[i % len(values)]) for name, values in self.words.items()}


def conditions_for(model: Model | TokenModel, asked: Asked) -> Conditions:
    """What a model is asked for: all of its classes in turn where nothing is.

    Raises:
        UserError: what the model does not understand, with the nearest that it does.
    """
    schema = model.card.schema
    given, away = asked.by_name(schema), asked.away(schema)
    if asked.nothing and model.card.label_names:
        given = {"label": list(model.card.label_names)}
    parts = [part for part in schema if part.name in given or part.name in away]
    words = {part.name: given.get(part.name, [None]) for part in parts}
    return Conditions(
        encoded(model, {part.name: part.encode(words[part.name]) for part in parts}),
        encoded(model, {part.name: part.encode([away.get(part.name)]) for part in parts}),
        words,
    )


def encoded(model: Model | TokenModel, cond: dict[str, Tensor]) -> dict[str, Tensor]:
    """Conditions on the model's device, texts as the states that its network reads."""
    cond = {name: value.to(model.device) for name, value in cond.items()}
    if isinstance(model, Model) and model.guide is not None:
        return cond  # two networks read the texts, each with an encoder of its own
    if any(part.kind == "text" and part.name in cond for part in model.card.parts):
        network: Any = model.denoiser.network
        with torch.no_grad():
            cond = network.encoded(cond)
    return cond


def text_part(schema: Sequence[Part]) -> Part | None:
    """The one condition that is a text, or None where there is none or are several."""
    texts = [part for part in schema if part.kind in _TEXTS]
    return texts[0] if len(texts) == 1 else None


def plain(value: Any) -> Any:
    """A value as JSON has it: what is no word, number or list of these is told by its shape."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence) and all(isinstance(each, str | int | float | Sequence) for each in value):
        return [plain(each) for each in value]
    return f"an array of shape {tuple(getattr(value, 'shape', ()))}"


def _named(schema: Sequence[Part], name: str) -> Part:
    """The part that a user calls by a name, its own or "text"."""
    for part in schema:
        if part.name == name:
            return part
    if not schema:
        what = "labels" if name == "label" else "conditions"
        raise UserError(f"this model was trained without {what}: sample it without --{name}")
    if name == "text":
        found = text_part(schema)
        if found is not None:
            return found
        texts = [part.name for part in schema if part.kind in _TEXTS]
        if texts:
            raise UserError(f"this model understands several texts: give each by its name, {', '.join(texts)}")
    raise unknown("condition", name, [part.name for part in schema])
