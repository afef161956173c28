r"""How good draws of masked cells are: their mean against simple guesses, and what their intervals cover.

With y the true values of K masked cells of one column and d_1 ... d_S draws of each, the error of the draws' mean is
rms = sqrt(mean (y - mean_s d_s)^2); beside it stand the errors of guesses by others, in units of one guess, with a
paired bootstrap over cells: cells are rows of their own, for a row masks a column once.

The interval of confidence c reaches from the quantile (1 - c)/2 to (1 + c)/2 of the draws, both at p (S + 1) along the
sorted draws. For draws from the law of y given the rest, y is one more of them, and P(y below the k-th) = k / (S + 1):
the coverage of the interval is c whatever the law, as soon as S + 1 >= 2 / (1 - c).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError
from ..foundations.measured import Measured, proportion
from .table_rows import REPEATS, resampled

LEAST = 10  # cells
Cells = NDArray[np.float64]


@dataclass(frozen=True)
class Imputed:
    """How well the masked cells of one column were filled in.

    Attributes:
        error: of the draws' mean, in the column's units; of a category the share of wrong modes.
        others: the same of the other guesses, by name.
        ratios: `error` over each of `others`, with a paired bootstrap interval; below 1 is better.
        coverage: the share of cells within their interval; None for a category.
    """

    error: Measured
    others: Mapping[str, float]
    ratios: Mapping[str, Measured]
    coverage: Measured | None


def interval(draws: Cells, confidence: float = 0.9) -> tuple[Cells, Cells]:
    """Both ends of each cell's interval, (K, S) -> (K,) and (K,).

    Raises:
        UserError: fewer draws than the interval needs to have ends.
    """
    needed = int(np.ceil(2 / (1 - confidence) - 1e-9)) - 1
    if draws.shape[1] < needed:
        raise UserError(
            f"{draws.shape[1]} draws of a cell are too few for intervals of {100 * confidence:g} %; take {needed}"
        )
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(draws, ends, axis=1, method="weibull")
    return low, high


def imputed(
    truth: Cells, draws: Cells, others: Mapping[str, Cells], *, name: str, confidence: float = 0.9, seed: int = 0
) -> Imputed:
    """Judges draws of numbers.

    Args:
        truth: (K,), what the masked cells held.
        draws: (K, S), what may stand there.
        others: (K,) guesses by others, by name.
        name: of the column.
        confidence: of the intervals.
        seed: of the bootstrap.

    Raises:
        UserError: fewer than 10 cells, cells that are missing in truth, or too few draws.
    """
    _checked(truth, draws, name)
    squares = (truth - draws.mean(1)) ** 2
    low, high = interval(draws, confidence)
    inside = int(((low <= truth) & (truth <= high)).sum())
    coverage = proportion("interval_coverage", inside, len(truth), note=f"intervals of {100 * confidence:g} %")
    return _compared(name, squares, {k: (truth - v) ** 2 for k, v in others.items()}, coverage, seed, root=True)


def imputed_categories(truth: Cells, draws: Cells, others: Mapping[str, Cells], *, name: str, seed: int = 0) -> Imputed:
    """Judges draws of a category's ids by how often the most frequent draw is wrong; arguments as for `imputed`."""
    _checked(truth, draws, name)
    top = int(max(draws.max(), truth.max())) + 1
    modes = np.stack([(draws == k).sum(1) for k in range(top)], axis=1).argmax(1)
    wrong = (modes != truth).astype(np.float64)
    return _compared(name, wrong, {k: (truth != v).astype(float) for k, v in others.items()}, None, seed, root=False)


def pooled_coverage(columns: Mapping[str, Imputed]) -> Measured:
    """The share of all masked numbers within their intervals, over columns.

    Raises:
        UserError: no column of numbers was judged.
    """
    each = [one.coverage for one in columns.values() if one.coverage is not None]
    if not each:
        raise UserError("no column of numbers was masked, so no interval has a coverage")
    trials = sum(m.count or 0 for m in each)
    return proportion(
        "interval_coverage", round(sum(m.value * (m.count or 0) for m in each)), trials, note=each[0].note
    )


def _checked(truth: Cells, draws: Cells, name: str) -> None:
    if draws.ndim != 2 or len(draws) != len(truth):
        raise UserError(f"{name}: {len(truth)} cells need draws of shape (cells, draws), got {tuple(draws.shape)}")
    if len(truth) < LEAST:
        raise UserError(f"{name}: {len(truth)} masked cells are too few; at least {LEAST} are needed")
    if np.isnan(truth).any() or np.isnan(draws).any():
        raise UserError(f"{name}: cells that are missing cannot be judged; mask those that are there")


def _compared(
    name: str, own: Cells, others: Mapping[str, Cells], coverage: Measured | None, seed: int, *, root: bool
) -> Imputed:
    def total(losses: Cells, weights: NDArray[np.int64]) -> Cells:
        mean = weights @ losses / len(losses)
        return np.sqrt(mean) if root else mean

    weights = resampled(len(own), seed, f"table/impute/{name}", 5 * REPEATS)
    one = np.ones((1, len(own)), np.int64)
    again, value = total(own, weights), float(total(own, one)[0])
    low, high = np.quantile(again, [0.025, 0.975]).tolist()
    kind = "rms error" if root else "share of wrong guesses"
    error = Measured("imputation_error", value, low, high, len(own), note=f"{kind} of {name}")
    ratios, values = {}, {}
    for key, losses in others.items():
        values[key] = float(total(losses, one)[0])
        base = total(losses, weights)
        usable = values[key] > 0 and bool((base > 0).all())
        quotient = value / values[key] if values[key] > 0 else np.inf
        low, high = np.quantile(again / base, [0.025, 0.975]).tolist() if usable else (None, None)
        ratios[key] = Measured(f"error_over_{key}", quotient, low, high, len(own), note=f"{kind} of {name}")
    return Imputed(error, values, ratios, coverage)
