"""Small tables whose laws are known."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from pellucid.data.table_schema import Field


def number(name: str, *, missing: bool = False) -> Field:
    """A column of numbers whose law is the standard normal one, so that a normal score is the number itself."""
    levels = np.linspace(1e-6, 1 - 1e-6, 4001)
    return Field(name, "number", levels=tuple(levels), values=tuple(ndtri(levels)), decimals=6, missing=missing)


def category(name: str, count: int, *, missing: bool = False) -> Field:
    """A column of so many categories, a, b, c, ..."""
    return Field(name, "category", categories=tuple("abcdefghij"[:count]), missing=missing)


FIELDS = (number("x"), number("y", missing=True), category("k", 3), Field("same", "constant", cell="1"))
SHIFT = 1.5


def rows(num: int, seed: int, *, shift: float = 0.0) -> np.ndarray:
    """Rows of `FIELDS`: k even over a, b, c; x normal about 1.5 k - 1.5; y = x / 2 + noise, missing in a tenth."""
    random = np.random.default_rng(seed)
    k = random.integers(3, size=num).astype(float)
    x = SHIFT * (k - 1) + random.normal(size=num) + shift
    y = np.where(random.uniform(size=num) < 0.1, np.nan, x / 2 + random.normal(size=num))
    return np.stack([x, y, k, np.full(num, np.nan)], axis=1)
