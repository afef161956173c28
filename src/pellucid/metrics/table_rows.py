r"""Rows of a table as numbers, what every measure of tables shares.

Rows are an array (N, F) of float64 beside F fields: numbers as they are, dates in seconds, categories as their ids, NaN
where a cell is missing. A row becomes a point by

    number    v -> (z(v) / sqrt 2, [v is missing] / sqrt 2),   z the normal score, 0 where v is missing,
    category  k -> the k-th unit vector / sqrt 2,               "missing" being one more category,

so that squared Euclidean distances are sums over columns: half the squared difference of normal scores, and 1 where
categories differ. Two independent rows then differ by 1 in a column of numbers on average, as much as two different
categories do; a missing and a present number differ by 1/2 and what the present one is off the middle. Any search for
neighbours of points is one for neighbours of rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.table_schema import Field
from ..foundations.errors import UserError
from ..foundations.rng import subseed

Rows = NDArray[np.float64]
Whole = NDArray[np.int64]
REPEATS = 200  # of a bootstrap and of a permutation


def modelled(fields: Sequence[Field]) -> list[int]:
    """The places of the columns that say something: numbers, integers, dates and categories."""
    return [j for j, field in enumerate(fields) if field.numeric or field.kind == "category"]


def checked(fields: Sequence[Field], least: int, **samples: Rows) -> None:
    """Refuses what no measure could compare.

    Raises:
        UserError: no column that says something, rows that do not fit the fields, or fewer than `least` of them, by
            the sample's name.
    """
    if not modelled(fields):
        raise UserError("the table has no column to compare: all are constant or left out")
    for name, rows in samples.items():
        if rows.ndim != 2 or rows.shape[1] != len(fields):
            raise UserError(f"the {name} rows have shape {tuple(rows.shape)}; the table has {len(fields)} columns")
        if len(rows) < least:
            raise UserError(f"{len(rows)} {name} rows are too few to measure anything; at least {least} are needed")


def random_of(seed: int, purpose: str) -> np.random.Generator:
    """A generator of its own for each purpose."""
    return np.random.default_rng(subseed(seed, purpose))


def some_of(rows: Rows, most: int, seed: int, purpose: str) -> Rows:
    """The rows in a random order, at most so many."""
    return rows[random_of(seed, purpose).permutation(len(rows))[:most]]


def resampled(num: int, seed: int, purpose: str, repeats: int = REPEATS) -> Whole:
    """How often each of so many rows is drawn in each bootstrap sample, (repeats, num)."""
    return random_of(seed, purpose).multinomial(num, np.full(num, 1 / num), size=repeats)


def halves(rows: Rows, seed: int, repeats: int = 8) -> list[tuple[Rows, Rows]]:
    """The rows parted at random into two halves of equal size, again and again."""
    half = len(rows) // 2
    orders = [random_of(seed, f"table/halves/{i}").permutation(len(rows)) for i in range(repeats)]
    return [(rows[at[:half]], rows[at[half : 2 * half]]) for at in orders]


def noise_scale(num_made: int, num_real: int) -> float:
    """How much two samples of one law differ by chance, over how much halves of the real one do: noise goes with the
    root of 1/N + 1/M, and halves have 4/M.

    >>> noise_scale(50, 50), noise_scale(10**9, 50) < 0.51
    (0.7071067811865476, True)
    """
    return math.sqrt((1 / num_made + 1 / num_real) * num_real / 4)


def points(rows: Rows, fields: Sequence[Field]) -> Rows:
    """Rows (N, F) as points (N, D), whose squared Euclidean distances are those above."""
    parts = []
    for j in modelled(fields):
        field, cells = fields[j], rows[:, j]
        absent = np.isnan(cells)
        if field.numeric:
            score = field.scores(np.where(absent, field.values[0], cells))
            parts.append(np.stack([np.where(absent, 0.0, score), absent.astype(np.float64)], axis=1))
        else:
            ids = np.where(absent, len(field.categories), cells).astype(np.int64)
            parts.append(np.eye(len(field.categories) + 1)[ids])
    return np.concatenate(parts, axis=1) / math.sqrt(2)
