r"""How columns go together, and whether made rows keep that: a matrix of associations of all pairs of columns.

    two columns of numbers      Spearman's correlation, that of their ranks, in [-1, 1]
    numbers and a category      the correlation ratio of the ranks z, in [0, 1]:

        epsilon^2 = 1 - (n - 1) / (n - K) sum_i (z_i - mean of its category)^2 / sum_i (z_i - mean)^2          (1)

    two categories              Cramer's V, in [0, 1], with chi^2 the statistic of their table of r rows, c columns:

        phi^2 = max(0, chi^2 / n - (r - 1)(c - 1) / (n - 1)),   r' = r - (r - 1)^2 / (n - 1), c' likewise,
        V = sqrt(phi^2 / min(r' - 1, c' - 1)).                                                                 (2)

(1) and (2) are corrected for the part that is above zero by chance (T. Kelley, "An unbiased correlation ratio measure",
1935; W. Bergsma, "A bias-correction for Cramer's V and Tschuprow's T", 2013, equations 5 to 7). A missing category is
a category; a pair with a number counts the rows where the number is present.

All of it is a function of the weighted products of a few columns made once, so a bootstrap sample costs one matrix
product. Ranks are taken once, in the whole sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ..data.table_schema import Field
from .base import Scored, normal_interval
from .table_rows import REPEATS, Rows, checked, halves, modelled, noise_scale, resampled

LEAST = 20


@dataclass(frozen=True)
class Associations:
    """All pairs of columns of two samples.

    Attributes:
        names: of the C columns.
        made, real: (C, C), symmetric, 1 on the diagonal; 0 where a column does not vary.
        difference: the mean of |made - real| over pairs, with its bootstrap error and the same between halves of the
            real rows; None where the table has one column.
    """

    names: tuple[str, ...]
    made: NDArray[np.float64]
    real: NDArray[np.float64]
    difference: Scored | None


@dataclass(frozen=True)
class Design:
    """Columns of which the products are all that associations need.

    Attributes:
        columns: (N, 3 P + C): of P columns of numbers whether they are present, their ranks about the middle (0 where
            they are not), the ranks' squares, then indicators of the categories.
        numbers, groups: the place in the table of each column of numbers; place and number of ids of each category.
    """

    columns: NDArray[np.float64]
    numbers: tuple[int, ...]
    groups: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, rows: Rows, fields: Sequence[Field]) -> Design:
        """That of rows (N, F)."""
        numbers = tuple(j for j in modelled(fields) if fields[j].numeric)
        groups = tuple((j, len(fields[j].categories) + 1) for j in modelled(fields) if not fields[j].numeric)
        cells = rows[:, list(numbers)]
        present = ~np.isnan(cells)
        ranks = np.zeros(cells.shape)
        for i in range(len(numbers)):
            found = rankdata(cells[present[:, i], i])
            ranks[present[:, i], i] = (found - (len(found) + 1) / 2) / max(1, len(found))
        ids = [np.where(np.isnan(rows[:, j]), size - 1, rows[:, j]).astype(np.int64) for j, size in groups]
        words = [np.eye(size)[each] for each, (_, size) in zip(ids, groups, strict=True)]
        return cls(np.concatenate([present, ranks, ranks**2, *words], axis=1), numbers, groups)

    def matrix(self, weights: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Associations (C, C) of the modelled columns in the table's order, rows counted `weights` (N,) times."""
        x = self.columns
        products = x.T @ (x if weights is None else weights[:, None] * x)
        order = sorted([*self.numbers, *(j for j, _ in self.groups)])
        place = {j: i for i, j in enumerate(order)}
        found = np.eye(len(order))
        p = len(self.numbers)
        at = [place[j] for j in self.numbers]
        there, rank, square = (slice(k * p, (k + 1) * p) for k in range(3))
        found[np.ix_(at, at)] = _correlations(
            products[there, there], products[there, rank], products[there, square], products[rank, rank]
        )
        starts = 3 * p + np.cumsum([0, *(size for _, size in self.groups)])
        parts = [slice(start, end) for start, end in pairwise(starts.tolist())]
        for (j, _), part in zip(self.groups, parts, strict=True):
            counts, sums, squares = (products[part, each] for each in (there, rank, square))
            found[place[j], at] = found[at, place[j]] = _ratios(counts, sums, squares)
        for a, (j, _) in enumerate(self.groups):
            for b, (k, _) in enumerate(self.groups[:a]):
                found[place[j], place[k]] = found[place[k], place[j]] = cramer(products[parts[a], parts[b]])
        np.fill_diagonal(found, 1.0)
        return found


def cramer(table: NDArray[np.float64]) -> float:
    """Cramer's V of counts (r, c), corrected by (2); 0 where only one row or column has any."""
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    r, c = table.shape
    n = float(table.sum())
    if min(r, c) < 2 or n < 2:
        return 0.0
    expected = table.sum(1)[:, None] * table.sum(0) / n
    phi2 = max(0.0, float(((table - expected) ** 2 / expected).sum()) / n - (r - 1) * (c - 1) / (n - 1))
    narrow = min(side - (side - 1) ** 2 / (n - 1) for side in (r, c)) - 1
    return float(min(1.0, np.sqrt(phi2 / narrow))) if narrow > 0 else 0.0


def associations(made: Rows, real: Rows, fields: Sequence[Field], *, seed: int = 0) -> Associations:
    """The associations of both samples and the mean of their difference.

    The mean of absolute differences is above zero for samples of one law: beside it stands the same number between
    halves of the real rows, scaled to the sizes that are compared.

    Args:
        made, real: (N, F) and (M, F).
        fields: of the F columns.
        seed: of the bootstrap and of the halves.

    Raises:
        UserError: fewer than 20 rows of a sample, or rows that do not fit the fields.
    """
    checked(fields, LEAST, made=made, real=real)
    x, y = Design.of(made, fields), Design.of(real, fields)
    p, q = x.matrix(), y.matrix()
    names = tuple(fields[j].name for j in modelled(fields))
    if len(names) < 2:
        return Associations(names, p, q, None)
    drawn = [
        [design.matrix(w) for w in resampled(len(rows), seed, f"table/pairs/{name}", REPEATS // 2)]
        for name, design, rows in (("made", x, made), ("real", y, real))
    ]
    spread = sum(np.var([_gap(p, again) if k else _gap(again, q) for again in each]) for k, each in enumerate(drawn))
    value = _gap(p, q)
    low, high = normal_interval(value, float(np.sqrt(spread)))
    parts = halves(real, seed) if len(real) >= 2 * LEAST else []
    gaps = [_gap(*(Design.of(half, fields).matrix() for half in pair)) for pair in parts]
    floor = float(np.mean(gaps)) * noise_scale(len(made), len(real)) if gaps else None
    words = "normal, with the bootstrap's error over rows"
    scored = Scored(
        "association_difference", value, max(0.0, low), high, len(made), len(real), None, "lower", floor, words
    )
    return Associations(names, p, q, scored)


def _gap(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """The mean of |p - q| over pairs."""
    return float(np.abs(p - q)[np.triu_indices(len(p), 1)].mean())


def _correlations(
    counts: NDArray[np.float64], sums: NDArray[np.float64], squares: NDArray[np.float64], cross: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Correlations of each pair where both are present, from sums over such rows: with M whether a number is there and
    Z its rank, (P, P) each of M_i M_j, M_i Z_j, M_i Z_j^2 and Z_i Z_j."""
    n = np.maximum(counts, 1)
    covariance = cross - sums.T * sums / n
    variance = squares - sums**2 / n  # of j where i is present
    scale = np.sqrt(np.maximum(variance * variance.T, 0))
    usable = scale > 1e-12 * np.maximum(np.sqrt(squares * squares.T), 1e-300)
    return np.clip(np.divide(covariance, scale, out=np.zeros_like(scale), where=usable), -1, 1)


def _ratios(
    counts: NDArray[np.float64], sums: NDArray[np.float64], squares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(1) of each column of numbers, from (K, P) counts, sums and sums of squares in each category: (P,), in [0, 1]."""
    n, groups = counts.sum(0), (counts > 0).sum(0)
    middle = sums.sum(0) ** 2 / np.maximum(n, 1)
    between = (sums**2 / np.maximum(counts, 1)).sum(0) - middle
    whole = squares.sum(0) - middle
    usable = (n > groups) & (whole > 1e-12 * np.maximum(squares.sum(0), 1e-300))
    eta2 = np.divide(between, whole, out=np.zeros_like(whole), where=usable)
    ratio = np.where(usable, 1 - (1 - eta2) * (n - 1) / np.maximum(n - groups, 1), 0.0)
    return np.asarray(np.sqrt(np.clip(ratio, 0, 1)))
