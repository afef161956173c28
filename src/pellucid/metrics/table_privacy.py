r"""Whether made rows are nearer to the rows that a model learned from than to fresh real rows.

Distances are those of `table_rows.points`. Of T training rows and H rows that were held out, let s be the share of made
rows whose nearest real row is a training row (equally near ones share it). A model that has learned the law and not its
rows is as near to the ones as to the others, so that s = T / (T + H) on average; reported is

    share = (s / T) / (s / T + (1 - s) / H),       1/2 without a leak, 1 where training rows are copied.       (1)

A law that was fitted to few training rows is nearer to them without holding any of them: a normal law for each species
and sex of 287 penguins comes out at 0.54. What simple laws get, fitted to the same rows, is the measure beside it.

Its error: with o_j the share of made rows that are nearest to real row j, a random choice of the T training rows among
all M = T + H would give s the mean T / M and the variance

    V = T H / (M (M - 1)) sum_j (o_j - 1/M)^2,                                                                (2)

which holds for the made rows as they are, however they crowd. The interval is Wilson's for as many rows as would give
s this variance, T H / M^2 / V, taken through (1).

Source: Platzer and Reutterer, "Holdout-Based Empirical Assessment of Mixed-Type Synthetic Data", 2021, section 3.2,
who search as many training as held-out rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.table_schema import Field
from ..foundations.measured import Measured, proportion, wilson
from .base import Scored
from .distances import blocks, nearest, squared
from .table_rows import Rows, Whole, checked, modelled, points, random_of, some_of

LEAST = 20
_MOST = 2000  # made and held-out rows whose neighbours are searched
_POOL = 20_000  # training rows


@dataclass(frozen=True)
class Privacy:
    """Distances to the nearest training row.

    Attributes:
        made, held: of each made and of each held-out row, ascending.
        nearer: (1).
        ratio: the median of `made` over the median of `held`: well below 1 where made rows sit on training rows.
        copies, duplicates: the share of made and of held-out rows that equal a training row, cell for cell, and of
            which at least half of the cells are there: rows that say next to nothing are alike without being copied.
        repeats: the share of training rows that equal another one.
    """

    made: NDArray[np.float64]
    held: NDArray[np.float64]
    nearer: Scored
    ratio: Measured
    copies: Measured
    duplicates: Measured
    repeats: Measured


def nearest_rows(rows: Rows, known: Rows, fields: Sequence[Field]) -> tuple[NDArray[np.float64], Whole]:
    """The distance of each row to the nearest of the known ones, and which that is: (N,) and (N,).

    Args:
        rows, known: (N, F) and (M, F).
        fields: of the F columns.
    """
    x, y = (torch.from_numpy(points(each, fields)) for each in (rows, known))
    distances, which = nearest(x, y, 1)
    return distances[:, 0].clamp_min(0).sqrt().numpy(), which[:, 0].numpy()


def equal_rows(rows: Rows, known: Rows, fields: Sequence[Field]) -> Whole:
    """How many of the known rows each row equals cell for cell, missing cells included: (N,)."""
    columns = modelled(fields)

    def keys(cells: Rows) -> list[bytes]:
        plain = np.where(np.isnan(cells), np.inf, cells)[:, columns] + 0.0  # one pattern of bits for NaN and for 0
        return [row.tobytes() for row in plain]

    counts: dict[bytes, int] = {}
    for key in keys(known):
        counts[key] = counts.get(key, 0) + 1
    return np.array([counts.get(key, 0) for key in keys(rows)], np.int64)


def privacy(made: Rows, train: Rows, held: Rows, fields: Sequence[Field], *, seed: int = 0) -> Privacy:
    """Nearest-row distances of made rows beside those of held-out rows.

    Args:
        made, train, held: (N, F), (M, F) and (H, F).
        fields: of the F columns.
        seed: of the choice where there are more than 2,000 made or held-out rows, and of the bootstrap.

    Raises:
        UserError: fewer than 20 rows of a sample, or rows that do not fit the fields.
    """
    checked(fields, LEAST, made=made, train=train, held=held)
    some = some_of(made, _MOST, seed, "table/privacy/made")
    fresh = some_of(held, _MOST, seed, "table/privacy/held")
    to_train, from_held = nearest_rows(some, train, fields)[0], nearest_rows(fresh, train, fields)[0]
    medians = [float(np.median(each)) for each in (to_train, from_held)]
    repeated = equal_rows(train, train, fields) > 1
    columns = modelled(fields)
    copied, twice = (
        int(((equal_rows(rows, train, fields) > 0) & (np.isnan(rows[:, columns]).mean(1) <= 0.5)).sum())
        for rows in (made, held)
    )
    ratio = medians[0] / medians[1] if medians[1] > 0 else math.nan
    return Privacy(
        np.sort(to_train),
        np.sort(from_held),
        nearer_to_training(some, some_of(train, _POOL, seed, "table/privacy/train"), fresh, fields),
        _ratio_of(ratio, to_train, from_held, seed),
        proportion("copied_rows", copied, len(made), note=f"{twice} of {len(held):,} held-out rows are"),
        proportion("held_out_duplicates", twice, len(held)),
        proportion("training_repeats", int(repeated.sum()), len(train)),
    )


def owned(made: Rows, real: Rows, fields: Sequence[Field]) -> NDArray[np.float64]:
    """The share of made rows that each real row is the nearest to, equally near ones in equal parts: (M,), sum 1."""
    x, y = (torch.from_numpy(points(rows, fields)) for rows in (made, real))
    total = torch.zeros(len(y), dtype=torch.float64)
    for _, part in blocks(x, len(y)):
        d = squared(part, y)
        best = (d <= d.min(1, keepdim=True).values * (1 + 1e-9) + 1e-15).double()
        total += (best / best.sum(1, keepdim=True)).sum(0)
    return np.asarray(total.numpy() / len(x))


def nearer_to_training(made: Rows, train: Rows, held: Rows, fields: Sequence[Field]) -> Scored:
    """The share (1) with its interval."""
    num_train, num_held = len(train), len(held)
    num = num_train + num_held
    each = owned(made, np.concatenate([train, held]), fields)
    s = min(1.0, float(each[:num_train].sum()))
    variance = num_train * num_held / num / (num - 1) * float(((each - 1 / num) ** 2).sum())
    chance = num_train * num_held / num**2
    worth = max(1, round(chance / variance)) if variance > chance / len(made) else len(made)
    low, high = wilson(round(s * worth), worth)
    value, low, high = (_per_row(each, num_train, num_held) for each in (s, min(low, s), max(high, s)))
    words = f"Wilson's, of {worth} rows for {len(made)}, for {num_held} of {num} real rows happened to be held out"
    return Scored("nearer_to_training", value, low, high, len(made), num_held, 0.5, "nearer", None, words, share=True)


def _per_row(s: float, train: int, held: int) -> float:
    """(1)."""
    return (s / train) / (s / train + (1 - s) / held)


def _ratio_of(ratio: float, made: NDArray[np.float64], held: NDArray[np.float64], seed: int) -> Measured:
    """The ratio of medians with its bootstrap interval."""
    random = random_of(seed, "table/privacy/ratio")
    tops, bottoms = (np.median(random.choice(each, (400, len(each))), axis=1) for each in (made, held))
    found = tops / np.where(bottoms > 0, bottoms, np.nan)
    sure = bool(np.isfinite(found).all())
    low, high = np.quantile(found, [0.025, 0.975]).tolist() if sure else (None, None)
    note = f"{len(held):,} held-out rows; medians {np.median(made):.3g} and {np.median(held):.3g}"
    label = "Distance to the nearest training row, made over held out"
    return Measured("nearest_row_ratio", ratio, low, high, len(made), note=note, label=label)
