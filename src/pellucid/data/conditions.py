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

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..foundations.errors import UserError

KINDS = ("class", "tags", "vector", "text", "states", "items")


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

    def absent(self, num: int) -> Tensor:
        """ "None" for num items, (num, *shape)."""
        if self.kind == "class":
            return torch.full((num,), len(self.names), dtype=torch.int64)
        if self.kind == "text":
            return torch.zeros((num, *self.shape), dtype=torch.int64)
        return torch.full((num, *self.shape), float("nan"))

    def to_json(self) -> dict[str, Any]:
        """The part as JSON values; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Part:
        """The part that `to_json` wrote."""
        return cls(**{**values, "names": tuple(values["names"]), "shape": tuple(values["shape"])})
