"""The stated power against what happens in repeats."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.audit.power import fewest, seen_rate
from pellucid.foundations.measured import wilson


@pytest.mark.parametrize(("num", "level"), [(200, 0.01), (4000, 0.01), (4000, 0.002)])
def test_the_rate_is_seen_as_often_as_stated(num: int, level: float) -> None:
    rate = seen_rate(num, level)
    random = np.random.default_rng(0)
    flagged = random.binomial(num, level + (1 - level) * rate, size=20_000)
    seen = np.mean([wilson(int(count), num)[0] > level for count in flagged])
    assert seen == pytest.approx(0.98, abs=0.004)  # four deviations of a share of 20,000


def test_the_fewest_is_the_first_that_chance_does_not_explain() -> None:
    need = fewest(500, 0.02)
    assert wilson(need, 500)[0] > 0.02 >= wilson(need - 1, 500)[0]


def test_more_samples_see_less() -> None:
    rates = [seen_rate(num, 0.01) for num in (100, 1000, 10_000)]
    assert rates == sorted(rates, reverse=True)
