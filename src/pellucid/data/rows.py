"""Rows of an array, in memory or on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """Some rows of an array that stays on disk: indexing copies only what is asked for."""

    base: NDArray[Any]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        picked: NDArray[Any] = np.asarray(self.base[self.index[rows]])
        return picked

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.base[self.index], dtype=dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.index), *self.base.shape[1:])

    @property
    def ndim(self) -> int:
        return self.base.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.base.dtype


def pick(values: NDArray[Any] | Rows, rows: NDArray[np.int64]) -> NDArray[Any] | Rows:
    """The rows at the given indices, in that order. What is on disk stays there."""
    if isinstance(values, Rows):
        return Rows(values.base, values.index[rows])
    if isinstance(values, np.memmap):
        return Rows(values, rows)
    return values[rows]
