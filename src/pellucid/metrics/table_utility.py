r"""What made rows are worth for learning: trees trained on them, against trees trained on real rows.

Both predict one column of the same held-out real rows from all others. With s the accuracy of a category, or for a
number the share of variance that is explained, 1 - sum (y - f)^2 / sum (y - mean)^2, reported is

    s(trained on made) - s(trained on real),                                                                   (1)

0 where made rows serve as well. Both were judged on the same rows, so what makes a row hard cancels: for a number the
interval is that of a paired bootstrap over held-out rows; for a category, where b rows are right by the first alone and
c by the second alone, it is Agresti and Min's ("Simple improved confidence intervals for comparing matched
proportions", 2005), which adds half a row to each of the four cases,

    (b - c) / (H + 2) +- z sqrt(b' + c' - (b - c)^2 / (H + 2)) / (H + 2),   b' = b + 1/2,  c' = c + 1/2.        (2)

The trained trees are taken as given. Both are trained on one number of rows.

Source: Esteban, Hyland and Raetsch, "Real-valued (Medical) Time Series Generation with Recurrent Conditional GANs",
2017, section 4.2 (train on synthetic, test on real).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..data.table_schema import Field
from ..foundations.errors import UserError, unknown
from ..foundations.measured import wilson
from .base import Scored, normal_interval
from .table_models import boosted, fitted
from .table_rows import REPEATS, Rows, checked, modelled, random_of, some_of

LEAST = 20


@dataclass(frozen=True)
class Utility:
    """What trees predict of held-out real rows.

    Attributes:
        target: the column that is predicted.
        measure: "accuracy" or "share of variance".
        on_made, on_real: of trees trained on made and on real rows.
        difference: (1).
        trivial: what always saying the most frequent category of the training rows, or their mean, gets.
    """

    target: str
    measure: str
    on_made: Scored
    on_real: Scored
    difference: Scored
    trivial: float


def target_of(fields: Sequence[Field], target: str | None) -> int:
    """The place of the column to predict: the one that is named, else the first category, else the last number.

    Raises:
        UserError: an unknown column, one that says nothing, or a table of a single column.
    """
    usable = modelled(fields)
    if len(usable) < 2:
        raise UserError("a table of one column has nothing to predict it from")
    if target is None:
        return next((j for j in usable if fields[j].kind == "category"), usable[-1])
    names = {fields[j].name: j for j in usable}
    if target not in names:
        raise unknown("target column", target, names)
    return names[target]


def utility(
    made: Rows, train: Rows, held: Rows, fields: Sequence[Field], *, target: str | None = None, seed: int = 0
) -> Utility:
    """Trees trained on made and on real rows, judged on held-out ones.

    Args:
        made, train, held: (N, F), (M, F) and (H, F).
        fields: of the F columns.
        target: the column to predict; the first category, or else the last number, if absent.
        seed: of the trees and of the bootstrap.

    Raises:
        UserError: fewer than 20 rows of a sample whose target is not missing, or an unknown target.
        MissingExtra: scikit-learn is not installed.
    """
    checked(fields, LEAST, made=made, train=train, held=held)
    at = target_of(fields, target)
    columns = [j for j in modelled(fields) if j != at]
    classes = not fields[at].numeric
    samples = {"made": made, "train": train, "held-out": held}
    samples = {name: rows[~np.isnan(rows[:, at])] for name, rows in samples.items()}
    for name, rows in samples.items():
        if len(rows) < LEAST:
            raise UserError(
                f"only {len(rows)} {name} rows have a value of {fields[at].name!r}; at least {LEAST} are needed, or "
                "another target"
            )
    count = min(len(samples["made"]), len(samples["train"]))
    truth = samples["held-out"][:, at]
    errors: list[NDArray[np.float64]] = []  # of each held-out row: wrong or not, or the squared error
    for name in ("made", "train"):
        rows = some_of(samples[name], count, seed, f"table/utility/{name}")
        model = boosted(fields, columns, classes=classes, seed=seed)
        said = fitted(model, rows[:, columns], rows[:, at])(samples["held-out"][:, columns])
        errors.append((said != truth).astype(np.float64) if classes else (said - truth) ** 2)
    known = samples["train"][:, at]
    usual = np.bincount(known.astype(np.int64)).argmax() if classes else known.mean()
    errors.append((truth != usual).astype(np.float64) if classes else (truth - usual) ** 2)
    trivial = float(_scores(errors[2][None], truth[None], classes)[0])
    values = [float(_scores(each[None], truth[None], classes)[0]) for each in errors[:2]]
    if classes:
        words = f"Wilson's, over {len(truth)} held-out rows, the trees given"
        bounds = [wilson(len(truth) - int(each.sum()), len(truth)) for each in errors[:2]]
        bounds.append(_matched(errors[1] - errors[0]))
    else:
        words = f"bootstrap over {len(truth)} held-out rows, the trees given"
        at_random = random_of(seed, "table/utility").integers(len(truth), size=(5 * REPEATS, len(truth)))
        drawn = [_scores(each[at_random], truth[at_random], classes) for each in errors[:2]]
        bounds = [tuple(np.quantile(x, [0.025, 0.975]).tolist()) for x in (*drawn, drawn[0] - drawn[1])]
    measure = "accuracy" if classes else "share of variance"
    names = ("train_on_made", "train_on_real", "train_on_made_minus_real")
    found = [
        Scored(name, value, low, high, count, len(truth), None, "higher", None, words, share=classes)
        for name, value, (low, high) in zip(names, (*values, values[0] - values[1]), bounds, strict=True)
    ]
    difference = replace(found[2], ideal=0.0, share=False)
    return Utility(fields[at].name, measure, found[0], found[1], difference, trivial)


def _matched(gained: NDArray[np.float64]) -> tuple[float, float]:
    """(2), from +1 where only the first is right, -1 where only the second is, and else 0: (H,)."""
    num = len(gained) + 2
    differ, net = float(np.abs(gained).sum()) + 1, float(gained.sum())
    return normal_interval(net / num, math.sqrt(differ - net**2 / num) / num)


def _scores(losses: NDArray[np.float64], truth: NDArray[np.float64], classes: bool) -> NDArray[np.float64]:
    """The score of each sample of rows, (R, H) of losses and of true values -> (R,)."""
    if classes:
        return np.asarray(1 - losses.mean(1))
    about = ((truth - truth.mean(1, keepdims=True)) ** 2).mean(1)
    return np.asarray(1 - losses.mean(1) / np.maximum(about, 1e-300))
