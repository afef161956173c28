"""Gradient-boosted trees on rows of a table, by scikit-learn: they take numbers, categories and missing cells alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.table_schema import Field
from ..foundations.errors import MissingExtra
from ..foundations.rng import subseed
from .table_rows import Rows


def boosted(fields: Sequence[Field], columns: Sequence[int], *, classes: bool, seed: int = 0) -> Any:
    """An estimator of scikit-learn, not yet fitted: 100 rounds of trees of depth 4 at most, 10 rows in a leaf.

    Args:
        fields: of the table.
        columns: the places of those that it will be given, in that order; categories are told as such.
        classes: whether it tells classes apart, or predicts a number.
        seed: its random state.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    except ImportError:
        raise MissingExtra("scikit-learn", "eval", "a classifier of rows") from None
    make = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return make(
        max_depth=4,
        min_samples_leaf=10,
        early_stopping=False,
        categorical_features=[fields[j].kind == "category" for j in columns],
        random_state=subseed(seed, "table/boosted") % (1 << 32),
    )


def fitted(model: Any, x: Rows, y: NDArray[Any]) -> Any:
    """The prediction of a model fitted to x (N, D) and y (N,): a function (B, D) -> (B,). One class needs no model."""
    if len(np.unique(y)) == 1:
        return lambda rows: np.full(len(rows), y[0])
    # Columns of which no cell is there give trees nothing, and their binning a warning.
    return model.fit(np.where(np.isnan(x).all(0), 0.0, x), y).predict
