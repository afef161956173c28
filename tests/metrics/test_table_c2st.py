"""Trees between made and real rows: chance for equal laws, at most the best rule's rate, all of what is disjoint."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pellucid.foundations.errors import UserError
from pellucid.metrics.table_c2st import c2st, right

from .table_cases import FIELDS, number, rows


def test_equal_laws_are_told_apart_at_the_rate_of_chance() -> None:
    rates = np.array([right(rows(80, 2 * i), rows(60, 2 * i + 1), FIELDS, seed=i).mean() for i in range(10)])
    assert len(right(rows(80, 0), rows(60, 1), FIELDS)) == 120
    assert abs(rates.mean() - 0.5) < 4 * rates.std() / math.sqrt(10)


def test_a_shift_is_seen_nearly_as_well_as_by_the_best_rule() -> None:
    random = np.random.default_rng(0)
    fields = (number("x"),)
    made, real = random.normal(2.0, 1, (400, 1)), random.normal(size=(400, 1))
    best = 0.5 + 0.5 * math.erf(1 / math.sqrt(2))
    scored = c2st(made, real, fields, floor=False)
    # Four binomial errors of 800 rows above; trees on one number lose a few points to it.
    assert best - 0.08 < scored.value < best + 4 * math.sqrt(best * (1 - best) / 800)
    assert scored.low < best < scored.high + 0.05


def test_what_a_missing_cell_or_a_category_gives_away_is_seen() -> None:
    real = rows(100, 0)
    all_missing = rows(100, 1)
    all_missing[:, 1] = np.nan
    assert c2st(all_missing, real, FIELDS, floor=False).value > 0.85  # only the tenth that is missing is alike
    recoded = rows(100, 2)
    recoded[:, 2] = (recoded[:, 2] + 1) % 3  # each column alone has the same law
    assert c2st(recoded, real, FIELDS, floor=False).low > 0.55


def test_the_floor_is_near_chance_and_few_rows_are_refused() -> None:
    scored = c2st(rows(120, 0), rows(120, 1), FIELDS)
    assert scored.low <= 0.5 <= scored.high
    # Two halvings of 120 rows: the error is below that of 120 rows once, 0.05.
    assert abs(scored.floor - 0.5) < 0.2
    with pytest.raises(UserError, match="20 made rows are too few"):
        c2st(rows(20, 0), rows(120, 1), FIELDS)
