r"""Whether gradient-boosted trees tell made rows from real ones.

As many made as real rows, in K = 5 parts with as many of either kind; the trees that judge a part were trained on the
other four. Where both laws are equal no rule does better than 1/2 on what it has not seen (Lopez-Paz and Oquab,
"Revisiting Classifier Two-Sample Tests", 2017, section 3). All rows are judged, and the trees that judge one part have
seen the others, so that errors are not independent: the interval is Wilson's for a number of rows divided by

    1 + K n_test / n_train = 1 + K / (K - 1),                                                                  (1)

the factor by which Nadeau and Bengio ("Inference for the Generalization Error", 2003, section 4) raise the variance.

Real rows that a model was trained on may come out below 1/2: where made rows repeat the chances of just this sample,
one part's excess of some kind of row is the other parts' lack of it, and the trees learn the opposite of what holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..data.table_schema import Field
from ..foundations.measured import wilson
from .base import Scored
from .table_models import boosted, fitted
from .table_rows import Rows, checked, halves, modelled, some_of

LEAST = 30  # rows of each sample: below, trees with 10 rows in a leaf learn nothing
FOLDS = 5
_FLOORS = 2


def right(made: Rows, real: Rows, fields: Sequence[Field], *, seed: int = 0) -> NDArray[np.bool_]:
    """Which rows trees that have not seen them get right, as many made as real ones: (2 K,), the made ones first."""
    count = min(len(made), len(real))
    columns = modelled(fields)
    parts = (some_of(rows, count, seed, f"table/c2st/{name}") for name, rows in (("made", made), ("real", real)))
    x = np.concatenate([part[:, columns] for part in parts])
    is_made = np.arange(2 * count) < count
    fold = np.arange(2 * count) % count % FOLDS
    found = np.zeros(2 * count, bool)
    for k in range(FOLDS):
        judged = fold == k
        model = boosted(fields, columns, classes=True, seed=seed)
        found[judged] = fitted(model, x[~judged], is_made[~judged])(x[judged]) == is_made[judged]
    return found


def c2st(made: Rows, real: Rows, fields: Sequence[Field], *, seed: int = 0, floor: bool = True) -> Scored:
    """The accuracy with which rows that were not trained on are told apart, 1/2 where both laws are equal.

    Args:
        made, real: (N, F) and (M, F); as many of either are used, chosen at random.
        fields: of the F columns.
        seed: of the choice, and of the trees.
        floor: also judge halves of the real rows.

    Raises:
        UserError: fewer than 30 rows of a sample, or rows that do not fit the fields.
        MissingExtra: scikit-learn is not installed.
    """
    checked(fields, LEAST, made=made, real=real)
    hits = right(made, real, fields, seed=seed)
    worth = round(len(hits) / (1 + FOLDS / (FOLDS - 1)))
    low, high = wilson(round(hits.mean() * worth), worth)
    middle = float(hits.mean())
    words = f"Wilson's, of {worth} rows for {len(hits)}, as trees of five parts share what they are trained on"
    count = len(hits) // 2
    scored = Scored(
        "c2st", middle, min(low, middle), max(high, middle), count, count, 0.5, "nearer", None, words, share=True
    )
    if not floor:
        return scored
    if len(real) < 2 * LEAST:
        return replace(scored, warnings=(f"no floor: {len(real)} real rows are too few to halve",))
    values = [right(a, b, fields, seed=seed).mean() for a, b in halves(real, seed, _FLOORS)]
    return replace(scored, floor=float(np.mean(values)))
