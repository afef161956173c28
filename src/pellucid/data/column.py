"""One column of a data set: the value of one condition for every item."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .codecs import codec_from_json
from .conditions import Part
from .rows import Rows, pick

_TYPES = {"class": np.int64, "text": np.int64}  # of a tensor; float32 for the others


@dataclass(frozen=True, eq=False)
class Column:
    """The values of one condition, item by item.

    Attributes:
        part: what the values are.
        values: (N, *part.shape), numbers as the table of `conditions` has them, of any type that holds them; of items
            with a codec, what that codec encodes.
        known: (N,) bool, False where an item has no value; None where all have one.
        words: (N,) what a person wrote, of texts; else None.

    Raises:
        ValueError: values whose shape is not the part's, or counts that differ.
    """

    part: Part
    values: NDArray[Any] | Rows
    known: NDArray[np.bool_] | None = None
    words: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        if tuple(self.values.shape[1:]) != self.part.shape:
            raise ValueError(
                f"values of {self.part.name!r} have the shape {self.values.shape[1:]}, not {self.part.shape}"
            )
        for beside in (self.known, self.words):
            if beside is not None and beside.shape != (len(self.values),):
                raise ValueError(f"{len(self.values)} values of {self.part.name!r}, and {beside.shape} beside them")

    def __len__(self) -> int:
        return len(self.values)

    def tensor(self, rows: NDArray[np.int64]) -> Tensor:
        """The values at the given indices, (B, *part.shape), as a network takes them; missing ones as "none"."""
        values = np.asarray(self.values[rows])
        if "codec" in self.part.details:
            found = codec_from_json(self.part.details["codec"]).encode(values)
        else:
            found = torch.from_numpy(values.astype(_TYPES.get(self.part.kind, np.float32)))
        if self.known is not None:
            missing = torch.from_numpy(~self.known[rows])
            found[missing] = self.part.absent(int(missing.sum()))
        return found

    def subset(self, rows: NDArray[np.int64]) -> Column:
        """The column of the items at the given indices, in that order."""
        return replace(
            self,
            values=pick(self.values, rows),
            known=None if self.known is None else self.known[rows],
            words=None if self.words is None else self.words[rows],
        )

    def update(self, digest: Any) -> None:
        """Adds the name and kind, and all values, to a hash."""
        digest.update(json.dumps([self.part.name, self.part.kind, *self.part.names]).encode())
        step = max(1, (1 << 24) // max(1, 8 * int(np.prod(self.part.shape))))
        for start in range(0, len(self), step):
            rows = np.arange(start, min(start + step, len(self)))
            digest.update(self.tensor(rows).numpy().tobytes())
