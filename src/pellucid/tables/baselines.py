r"""Rows by simple laws, to stand beside those of a model: what is a diffusion model worth?

*Independent columns* draws each cell from its own column of the training rows: every marginal is right, nothing else.

*A Gaussian copula* makes one normal number of each column, x = Phi^-1(u), with u the rank of a number among those that
are present; a category takes the step of [0, 1] that its share owns, and u a place in it at random. "Missing" is one
more category; of numbers, it is a column of its own. With C the correlations of x, rows are drawn from N(0, C) and
taken back through each column's quantiles. Associations between numbers come out right where they are monotone, means
that depend on a category come out in part, anything in three columns at once is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from ..data.table_schema import Field
from ..foundations.registry import Registry
from ..foundations.rng import subseed
from ..metrics.table_rows import Rows, modelled

Baseline = Callable[..., Rows]


def independent_columns(train: Rows, fields: Sequence[Field], num: int, *, seed: int = 0) -> Rows:
    """Rows (num, F) of which each cell is a training cell of its column, missing ones too, drawn independently."""
    random = np.random.default_rng(subseed(seed, "table/independent"))
    return np.stack([random.choice(train[:, j], num) for j in range(len(fields))], axis=1)


def gaussian_copula(train: Rows, fields: Sequence[Field], num: int, *, seed: int = 0) -> Rows:
    """Rows (num, F) of a Gaussian copula with the training rows' marginals.

    Args:
        train: (N, F).
        fields: of the F columns.
        num: how many rows.
        seed: of the places within steps, and of the rows.
    """
    random = np.random.default_rng(subseed(seed, "table/copula"))
    parts: list[tuple[int, str]] = []  # the column, and what of it
    scores: list[NDArray[np.float64]] = []
    for j in modelled(fields):
        cells = train[:, j]
        absent = np.isnan(cells)
        if fields[j].numeric:
            score = np.full(len(cells), np.nan)
            score[~absent] = ndtri((rankdata(cells[~absent]) - 0.5) / max(1, int((~absent).sum())))
            parts.append((j, "number"))
            scores.append(score)
        if not fields[j].numeric or absent.any():
            parts.append((j, "absent" if fields[j].numeric else "category"))
            steps = _steps(_ids(cells, fields[j]))
            ids = _ids(cells, fields[j])
            scores.append(ndtri(steps[ids] + random.uniform(size=len(ids)) * (steps[ids + 1] - steps[ids])))
    x = np.stack(scores, axis=1)
    normal = random.multivariate_normal(np.zeros(len(parts)), _correlation(x), size=num, method="eigh")
    levels = ndtr(normal)
    rows = np.full((num, len(fields)), np.nan)
    for k, (j, what) in enumerate(parts):
        cells = train[:, j]
        if what == "number":
            rows[:, j] = np.quantile(cells[~np.isnan(cells)], levels[:, k], method="inverted_cdf")
            continue
        steps = _steps(_ids(cells, fields[j]))
        ids = np.clip(np.searchsorted(steps, levels[:, k], side="right") - 1, 0, len(steps) - 2)
        if what == "absent":
            rows[ids == 1, j] = np.nan
        else:
            rows[:, j] = np.where(ids < len(fields[j].categories), ids, np.nan)
    return rows


def _ids(cells: NDArray[np.float64], field: Field) -> NDArray[np.int64]:
    """Categories with "missing" as one more, or whether a number is missing."""
    absent = np.isnan(cells)
    return np.asarray(absent if field.numeric else np.where(absent, len(field.categories), cells)).astype(np.int64)


def _steps(ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """The ends of the steps of [0, 1] that the ids' shares own, (K + 1,)."""
    return np.concatenate([[0.0], np.cumsum(np.bincount(ids)) / len(ids)])


def _correlation(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlations (P, P) of columns with NaN, pair by pair, with negative eigenvalues taken to zero."""
    there = ~np.isnan(x)
    z = np.where(there, x, 0.0)
    z = np.where(there, z - z.sum(0) / np.maximum(there.sum(0), 1), 0.0)
    square = (z**2).T @ there
    scale = np.sqrt(square * square.T)
    c = np.divide(z.T @ z, scale, out=np.zeros_like(scale), where=scale > 0)
    values, vectors = np.linalg.eigh(c)
    c = (vectors * np.maximum(values, 1e-9)) @ vectors.T
    size = np.sqrt(np.diag(c))
    return np.asarray(c / size / size[:, None])


BASELINES: Registry[Baseline] = Registry(
    "baseline of tables", {"independent_columns": independent_columns, "gaussian_copula": gaussian_copula}
)
