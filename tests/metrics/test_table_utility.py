"""Trained on made rows, judged on real ones: no difference for one law, the loss of labels that mean nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pellucid.foundations.errors import UserError
from pellucid.metrics.table_utility import target_of, utility

from .table_cases import FIELDS, SHIFT, category, number, rows


def test_rows_of_the_same_law_serve_as_well() -> None:
    found = [utility(rows(150, 3 * i), rows(150, 3 * i + 1), rows(80, 3 * i + 2), FIELDS) for i in range(15)]
    differences = np.array([one.difference.value for one in found])
    assert abs(differences.mean()) < 4 * differences.std() / math.sqrt(15)
    assert found[0].target == "k"
    # Of the trees given the interval is of the judged rows alone, and trees differ too: 12 of 15 is seldom missed.
    assert sum(one.difference.low <= 0 <= one.difference.high for one in found) >= 11


def test_accuracy_reaches_that_of_the_best_rule_and_not_more() -> None:
    one = utility(rows(600, 0), rows(600, 1), rows(600, 2), FIELDS)
    # The best rule cuts x at the two middles: errors of 1/3 (1 + 2 + 1) Q(0.75); y is noise given x.
    best = 1 - 4 / 3 * (1 - math.erf(SHIFT / 2 / math.sqrt(2))) / 2
    assert best - 0.1 < one.on_real.value < best + 4 * math.sqrt(best * (1 - best) / 600)
    assert one.trivial == pytest.approx(1 / 3, abs=0.1)


def test_shuffled_labels_teach_nothing() -> None:
    made = rows(300, 0)
    made[:, 2] = np.random.default_rng(0).permutation(made[:, 2])
    one = utility(made, rows(300, 1), rows(200, 2), FIELDS)
    assert one.difference.high < -0.1
    assert abs(one.on_made.value - 1 / 3) < 0.12  # three errors of 200 rows


def test_a_number_is_judged_by_the_variance_that_is_explained() -> None:
    one = utility(rows(600, 0), rows(600, 1), rows(600, 2), FIELDS, target="y")
    # y = x/2 + noise: of its variance x explains Var(x)/4 of Var(x)/4 + 1, Var(x) = 2.5.
    best = 0.625 / 1.625
    assert one.measure == "share of variance"
    assert best - 0.15 < one.on_real.value < best + 0.1
    assert one.on_real.low < one.on_real.value < one.on_real.high
    assert one.difference.low < 0 < one.difference.high
    assert abs(one.trivial) < 0.02


def test_targets_are_chosen_named_and_refused() -> None:
    assert target_of(FIELDS, None) == 2
    assert target_of((number("x"), number("y")), None) == 1
    with pytest.raises(UserError, match="did you mean 'k'"):
        target_of(FIELDS, "kk")
    with pytest.raises(UserError, match="one column"):
        target_of((category("k", 2),), None)
    none = rows(60, 0)
    none[:55, 1] = np.nan
    with pytest.raises(UserError, match="made rows have a value of 'y'"):
        utility(none, rows(60, 1), rows(60, 2), FIELDS, target="y")
