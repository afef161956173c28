r"""Masked cells of held-out rows, filled in: how well, beside simple guesses.

The cells of each row are dealt at random into three groups; one group at a time is masked and drawn given the rest, so
that every cell that is there is masked once, with a third of its row. Numbers are judged by the error of the draws'
mean and by the coverage of their intervals, categories by their most frequent draw. Beside stand the column's mean (or
most frequent category) and median, and the nearest rows of scikit-learn's KNNImputer on the same masked rows, in normal
scores (with categories as indicators).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.table_schema import Field
from ..foundations.errors import MissingExtra, UserError
from ..metrics.table_impute import LEAST, Imputed, imputed, imputed_categories
from ..metrics.table_rows import Rows, modelled, random_of

Fill = Callable[[Rows, NDArray[np.bool_]], Rows]
GROUPS = 3
DRAWS = 39  # of each cell: with one more they are parted evenly by the ends of an interval of 90 %
_MOST = 200  # rows
_NEIGHBOURS = 5


def fill_in(
    fill: Fill, train: Rows, held: Rows, fields: Sequence[Field], *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Imputed]:
    """How well each column's masked cells are filled in.

    Args:
        fill: from cells (B, F), NaN where missing, and what is given of them, bool (B, F), to drawn rows (B, F). Rows
            that are given alike are drawn independently. A cell that is not given holds what must not be looked at.
        train: (N, F) rows, of which others take their guesses.
        held: (H, F) rows, of which at most 200 are masked.
        fields: of the F columns.
        draws: of each row and group, 19 at least.
        seed: of the rows and of the groups.

    Returns:
        By the column's name, those of which at least ten cells are there. A number that is drawn as missing counts as
        the column's mean.

    Raises:
        UserError: too few draws or held-out rows, or a table of one column.
        MissingExtra: scikit-learn is not installed.
    """
    columns = modelled(fields)
    if len(columns) < 2 or len(held) < LEAST:
        raise UserError(
            f"filling in cells needs two columns and {LEAST} held-out rows; there are {len(columns)} and {len(held)}"
        )
    random = random_of(seed, "table/masked")
    rows = held[random.permutation(len(held))[:_MOST]]
    group = np.full(rows.shape, -1)
    group[:, columns] = random.permuted(np.tile(np.arange(len(columns)) % GROUPS, (len(rows), 1)), axis=1)
    group[np.isnan(rows)] = -1  # what is missing stays so, and says so
    drawn = np.full((*rows.shape, draws), np.nan)
    guesses = {name: np.full(rows.shape, np.nan) for name in ("mean", "median", "neighbours")}
    usual = {"mean": _usual(train, fields, np.mean), "median": _usual(train, fields, np.median)}
    for k in range(min(GROUPS, len(columns))):
        masked = group == k
        hidden = np.where(masked, np.nan, rows)
        found = fill(np.repeat(hidden, draws, axis=0), np.repeat(~masked, draws, axis=0))
        drawn[masked] = found.reshape(len(rows), draws, -1).transpose(0, 2, 1)[masked]
        guesses["neighbours"][masked] = neighbours(train, hidden, fields)[masked]
        for name, value in usual.items():
            guesses[name][masked] = np.broadcast_to(value, rows.shape)[masked]
    found_of: dict[str, Imputed] = {}
    for j in columns:
        at = group[:, j] >= 0
        if at.sum() >= LEAST:
            one = drawn[at, j]
            one = np.where(np.isnan(one), usual["mean"][j], one)
            others = {name: value[at, j] for name, value in guesses.items()}
            name = fields[j].name
            if fields[j].numeric:
                found_of[name] = imputed(rows[at, j], one, others, name=name, seed=seed)
            else:
                others = {"mode": others["mean"], "neighbours": others["neighbours"]}
                found_of[name] = imputed_categories(rows[at, j], one, others, name=name, seed=seed)
    return found_of


def neighbours(train: Rows, hidden: Rows, fields: Sequence[Field]) -> Rows:
    """The guesses of the five nearest training rows for the cells that are NaN, (H, F); others keep their place.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.impute import KNNImputer
    except ImportError:
        raise MissingExtra("scikit-learn", "eval", "guesses by neighbours") from None
    parts = [_indicators(fields[j], np.concatenate([train[:, j], hidden[:, j]])) for j in modelled(fields)]
    x = np.concatenate(parts, axis=1)
    filled = (
        KNNImputer(n_neighbors=_NEIGHBOURS, keep_empty_features=True).fit(x[: len(train)]).transform(x[len(train) :])
    )
    found, start = hidden.copy(), 0
    for part, j in zip(parts, modelled(fields), strict=True):
        here = filled[:, start : start + part.shape[1]]
        start += part.shape[1]
        guess = fields[j].restored(here[:, 0]) if fields[j].numeric else here.argmax(1).astype(np.float64)
        found[:, j] = np.where(np.isnan(hidden[:, j]), guess, hidden[:, j])
    return found


def _indicators(field: Field, cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """A column of numbers as normal scores (N, 1), of a category as indicators (N, K); NaN where missing."""
    absent = np.isnan(cells)
    if field.numeric:
        return np.where(absent, np.nan, field.scores(np.where(absent, field.values[0], cells)))[:, None]
    return np.where(absent[:, None], np.nan, np.eye(len(field.categories))[np.where(absent, 0, cells).astype(np.int64)])


def _usual(train: Rows, fields: Sequence[Field], middle: Callable[..., np.floating]) -> NDArray[np.float64]:
    """The mean or the median of each column of numbers, the most frequent of each category, (F,)."""
    found = np.full(len(fields), np.nan)
    for j in modelled(fields):
        there = train[~np.isnan(train[:, j]), j]
        if len(there):
            found[j] = middle(there) if fields[j].numeric else np.bincount(there.astype(np.int64)).argmax()
    return found
