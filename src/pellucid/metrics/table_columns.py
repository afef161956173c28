r"""How far the columns of made rows are from those of real ones, one by one.

With F and G the distribution functions of a column in both samples, and p and q the shares of its values,

    Kolmogorov and Smirnov's distance   max over v of |F(v) - G(v)|     numbers, integers, dates               (1)
    total variation                     1/2 sum over k of |p_k - q_k|   categories, and missing or present.    (2)

Both are in [0, 1], and both are above 0 between two samples of one law, by chance. The estimate that is given takes
this off: with d the plain distance and d_0 the plain distance of the same rows after they were exchanged between the
samples at random (a hypergeometric law of the counts),

    theta = d^2 - E d_0^2,     estimate = sqrt(max(0, theta)),                                                 (3)

for the square of a difference of two shares is its square in truth plus its variance, which E d_0^2 stands for. The
interval is the score interval of theta (`base`, equation 2), with Var theta = 4 d^2 Var d + Var d_0^2, Var d by the
bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from ..data.table_schema import Field
from ..foundations.errors import UserError
from .base import Scored, normal_interval, score_interval
from .table_rows import REPEATS, Rows, Whole, checked, halves, modelled, noise_scale, random_of, resampled

LEAST = 20  # rows of each sample
_GROUPS = 512
INTERVAL = "score interval of the squared distance, by bootstrap and permutation"


@dataclass(frozen=True)
class ColumnScore:
    """One column of two samples.

    Attributes:
        name, kind: of the column.
        distance: (1) or (2) over cells that are not missing, corrected by (3); None where too few are present.
        plain: the same without the correction.
        missing: (2) of missing and present, corrected; None where no cell of either sample is missing.
    """

    name: str
    kind: str
    distance: Scored | None
    plain: float
    missing: Scored | None


def kolmogorov_smirnov(a: Whole, b: Whole) -> NDArray[np.float64]:
    """(1) of counts of ordered values, (..., K) and (..., K) -> (...)."""
    f, g = (np.cumsum(counts, -1) / counts.sum(-1, keepdims=True) for counts in (a, b))
    return np.asarray(np.abs(f - g).max(-1))


def total_variation(a: Whole, b: Whole) -> NDArray[np.float64]:
    """(2) of counts, (..., K) and (..., K) -> (...).

    >>> float(total_variation(np.array([1, 1]), np.array([4, 0])))
    0.5
    """
    p, q = (counts / counts.sum(-1, keepdims=True) for counts in (a, b))
    return np.asarray(np.abs(p - q).sum(-1) / 2)


def counted(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[Whole, Whole]:
    """How often each value that occurs is in x and in y, in ascending order: (K,) and (K,); NaN is left out."""
    x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    known, place = np.unique(np.concatenate([x, y]), return_inverse=True)
    return tuple(np.bincount(part, minlength=len(known)) for part in (place[: len(x)], place[len(x) :]))  # type: ignore[return-value]


def distance(
    made: NDArray[np.float64], real: NDArray[np.float64], *, ordered: bool, name: str = "", seed: int = 0
) -> Scored:
    """The corrected distance (3) of two columns, NaN left out, with its interval.

    Args:
        made, real: cells, (N,) and (M,).
        ordered: Kolmogorov and Smirnov's, else total variation.
        name: of the result.
        seed: of the bootstrap and of the permutations.

    Raises:
        UserError: fewer than 20 cells of a sample are present.
    """
    metric = kolmogorov_smirnov if ordered else total_variation
    a, b = counted(made, real)
    n, m = int(a.sum()), int(b.sum())
    if min(n, m) < LEAST:
        raise UserError(f"{name}: {min(n, m)} cells are too few to compare; at least {LEAST} of each are needed")
    plain = float(metric(a, b))
    a, b = _merged(a, b)
    exchanged = random_of(seed, "table/exchanged").multivariate_hypergeometric(a + b, n, size=REPEATS)
    null = metric(exchanged, a + b - exchanged) ** 2
    random = random_of(seed, "table/bootstrap")
    spread = float(metric(random.multinomial(n, a / n, REPEATS), random.multinomial(m, b / m, REPEATS)).std())
    theta = plain**2 - float(null.mean())
    bounds = score_interval(theta, 4 * spread**2, float(null.var()))
    low, value, high = (math.sqrt(min(1.0, max(0.0, each))) for each in (bounds[0], theta, bounds[1]))
    return Scored(name, value, low, high, n, m, 0.0, "lower", None, INTERVAL, share=True)


def column_scores(made: Rows, real: Rows, fields: Sequence[Field], *, seed: int = 0) -> tuple[ColumnScore, ...]:
    """Each column's distance with its interval and its floor, the mean over halves of the real rows.

    Args:
        made, real: (N, F) and (M, F).
        fields: of the F columns.
        seed: of what is drawn.

    Raises:
        UserError: fewer than 20 rows of a sample, or rows that do not fit the fields.
    """
    checked(fields, LEAST, made=made, real=real)
    parts = halves(real, seed, repeats=4) if len(real) >= 2 * LEAST else []
    return tuple(_column(j, fields[j], made, real, parts, seed) for j in modelled(fields))


def mean_distance(made: Rows, real: Rows, fields: Sequence[Field], *, seed: int = 0) -> Scored:
    """The mean over columns of the plain distances (1) and (2), its bootstrap error, and its floor.

    It is not corrected. Equal laws reach the floor: what halves of the real rows give, scaled to the sizes that are
    compared. Rows are resampled whole, so that columns that go together err together.
    """
    checked(fields, LEAST, made=made, real=real)
    value = _mean(made, real, fields)
    drawn = []
    for which in (0, 1):
        sample = (made, real)[which]
        for weights in resampled(len(sample), seed, f"table/columns/{which}", REPEATS // 4):
            again = np.repeat(sample, weights, axis=0)
            drawn.append((which, _mean(again, real, fields) if which == 0 else _mean(made, again, fields)))
    error = math.sqrt(sum(np.var([v for w, v in drawn if w == which]) for which in (0, 1)))
    low, high = normal_interval(value, error)
    parts = halves(real, seed, repeats=4) if len(real) >= 2 * LEAST else []
    gaps = [_mean(x, y, fields) for x, y in parts]
    floor = float(np.mean(gaps)) * noise_scale(len(made), len(real)) if gaps else None
    words = "normal, with the bootstrap's error over rows"
    scored = Scored("column_distance", value, max(0.0, low), high, len(made), len(real), None, "lower", floor, words)
    return replace(scored, share=True)


def _merged(a: Whole, b: Whole) -> tuple[Whole, Whole]:
    """Counts of neighbouring values as one, so that at most 512 are left of about as many cells each: chance is seen on
    them just as well, and sooner."""
    if len(a) <= _GROUPS:
        return a, b
    upto = np.cumsum(a + b)
    starts = np.unique(np.searchsorted(upto, np.linspace(0, upto[-1], _GROUPS, endpoint=False), side="right"))
    return np.add.reduceat(a, starts), np.add.reduceat(b, starts)


def _mean(x: Rows, y: Rows, fields: Sequence[Field]) -> float:
    found = []
    for j in modelled(fields):
        a, b = counted(x[:, j], y[:, j])
        if a.sum() and b.sum():
            found.append(float((kolmogorov_smirnov if fields[j].numeric else total_variation)(a, b)))
    return float(np.mean(found)) if found else math.nan


def _column(j: int, field: Field, made: Rows, real: Rows, parts: list[tuple[Rows, Rows]], seed: int) -> ColumnScore:
    x, y = made[:, j], real[:, j]
    a, b = counted(x, y)
    few = min(a.sum(), b.sum()) < LEAST
    metric = kolmogorov_smirnov if field.numeric else total_variation
    found = None if few else distance(x, y, ordered=field.numeric, name=field.name, seed=seed)
    if found is not None and all(min(np.sum(~np.isnan(half[:, j])) for half in pair) >= LEAST for pair in parts):
        floors = starmap(lambda p, q: distance(p[:, j], q[:, j], ordered=field.numeric, seed=seed).value, parts)
        found = replace(found, floor=float(np.mean(list(floors))) if parts else None)
    absent = None
    if np.isnan(x).any() or np.isnan(y).any():
        absent = distance(
            *(np.isnan(cells).astype(float) for cells in (x, y)), ordered=False, name=field.name, seed=seed
        )
    return ColumnScore(field.name, field.kind, found, math.nan if few else float(metric(a, b)), absent)
