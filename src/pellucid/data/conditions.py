"""Conditions: what an item can be asked for by, column by column, and how a column becomes a tensor.

    class    one of K names             int64 (B,), K for none
    tags     any of K names             float32 (B, K) of zeros and ones, NaN for none
    vector   V numbers, standardised    float32 (B, V), NaN for none
    text     a sentence                 int64 (B, length) pieces, 0 behind its end, all 0 for none
    states   a sentence, encoded once   float32 (B, length, width), NaN behind its end and for none
    items    another picture or signal  float32 (B, *shape), NaN for none

Every kind says "none" in its own tensor: a part that is missing for an item, one that is hidden for guidance and one
that a user left out are the same to a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..foundations.errors import UserError

KINDS = ("class", "tags", "vector", "text", "states", "items")
_LISTED = 20  # names in a sentence
TAKEN = ("x", "x0", "t", "s", "c", "c_noise", "noise", "denoiser", "self", "vector")  # what networks call other things


@dataclass(frozen=True)
class Part:
    """One condition that a model understands: a column's name, and what its values are. It travels in the checkpoint.

    Attributes:
        name: the column's name, by which a user asks and a network is called.
        kind: one of `KINDS`.
        names: the classes, the tags, or the components of a vector.
        shape: of one value's tensor, without the batch: () for a class.
        details: what the kind needs beside it, as JSON values: a vocabulary, a mean and a deviation, a text model.
    """

    name: str
    kind: str
    names: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"a condition's kind is one of {', '.join(KINDS)}; got {self.kind!r} for {self.name!r}")
        if not self.name.isidentifier():
            raise UserError(f"a condition's name is a plain word (letters, digits, _), got {self.name!r}: rename it")
        if self.name in TAKEN:
            raise UserError(f"a condition cannot be called {self.name!r}, as something else is: rename it")

    @property
    def size(self) -> int:
        """How many classes, tags, components or pieces there are; the width of a state, the channels of an item."""
        if self.kind == "text":
            return int(self.details["pieces"])
        return len(self.names) if self.kind in ("class", "tags") else self.shape[-1 if self.kind == "states" else 0]

    def encode(self, values: Sequence[Any]) -> Tensor:
        """What a user typed as a tensor (B, *shape): a name, tags (a list, or "a; b"), a number or several, a sentence,
        a picture as an array or a file. None is "none", and so are the word none (unless it is a name of its own, or
        text) and the empty text.

        Raises:
            UserError: a value that the part does not know, with the nearest that it does.
        """
        from .encoding import ENCODERS  # here, as it reads pictures and texts, which know of parts

        rows = [None if value is None else ENCODERS[self.kind](self, value) for value in values]
        none = self.absent(1)
        return torch.cat([none, *(none if row is None else row[None].to(none.dtype) for row in rows)])[1:]

    def listed(self, value: Any) -> list[Any]:
        """The values in what a user gave: one, or several that are taken in turn."""
        from .encoding import is_one

        return [value] if is_one(self, value) else list(value)

    def absent(self, num: int) -> Tensor:
        """ "None" for num items, (num, *shape)."""
        if self.kind == "class":
            return torch.full((num,), len(self.names), dtype=torch.int64)
        if self.kind == "text":
            return torch.zeros((num, *self.shape), dtype=torch.int64)
        return torch.full((num, *self.shape), float("nan"))

    def sentence(self) -> str:
        """What a user may give for it, in words."""
        listed = ", ".join(self.names[:_LISTED]) + (
            f" and {len(self.names) - _LISTED} more" if self.names[_LISTED:] else ""
        )
        length = "x".join(map(str, self.shape[:1] if self.kind in ("text", "states") else self.shape))
        if self.kind == "vector":
            ranges = zip(self.names, self.details["mean"], self.details["std"], strict=True)
            return "numbers: " + ", ".join(f"{name} (about {mean:.3g} ± {std:.2g})" for name, mean, std in ranges)
        return {
            "class": f"one of {listed}",
            "tags": f'any of {listed}, as in "a; b"',
            "text": f"a text of up to {length} pieces",
            "states": f"a text of up to {length} pieces, for the text model in {self.details.get('path')}",
            "items": f"a file or an array of shape {length}",
        }[self.kind]

    def to_json(self) -> dict[str, Any]:
        """The part as JSON values; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Part:
        """The part that `to_json` wrote."""
        return cls(**{**values, "names": tuple(values["names"]), "shape": tuple(values["shape"])})
