"""What holds for every metric of the table: its form, its refusals, its invariances, and the checks of `verify`."""

from __future__ import annotations

import json
import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.metrics import base
from pellucid.metrics.base import normal_interval, order, score_interval
from pellucid.metrics.summary import METRICS, measure
from pellucid.verify import metrics as checks

GENERATOR = torch.Generator().manual_seed(10)
X = torch.randn(72, 2, 2, generator=GENERATOR) + 0.3
Y = torch.randn(64, 2, 2, generator=GENERATOR)
RESULTS, REFUSED = measure(X, Y, seed=3)


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_has_a_value_an_interval_sizes_and_a_floor(name: str) -> None:
    scored = RESULTS[name]
    assert scored.name == name
    assert scored.low is not None
    assert scored.high is not None
    assert scored.low <= scored.value <= scored.high
    assert scored.floor is not None
    assert math.isfinite(scored.floor)
    assert 0 < scored.num_generated <= 72
    assert 0 < scored.num_real <= 64
    assert scored.interval
    assert json.loads(json.dumps(scored.to_json()))["value"] == scored.value
    assert f"n = {scored.num_generated}" in scored.measured.interval


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_is_a_function_of_its_arguments(name: str) -> None:
    state = torch.random.get_rng_state()
    again = METRICS[name](X, Y, seed=3)
    assert again == RESULTS[name]
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_refuses_by_name(name: str) -> None:
    broken = X.clone()
    broken[[3, 5], 0] = torch.nan
    with pytest.raises(UserError, match=r"2 of 72 items of the generated sample .*not finite"):
        METRICS[name](broken, Y)
    with pytest.raises(UserError, match=r"2 of 72 items of the real sample"):
        METRICS[name](Y, broken)
    with pytest.raises(UserError, match=r"generated items have shape \(2, 2\) and real ones \(4,\)"):
        METRICS[name](X, Y.flatten(1))
    with pytest.raises(UserError, match="generated sample holds 0 items"):
        METRICS[name](X[:0], Y)
    with pytest.raises(UserError, match="with at least one axis per item"):
        METRICS[name](X[:, 0, 0], Y[:, 0, 0])


def test_all_at_once_says_what_refused() -> None:
    assert REFUSED == {}
    results, refused = measure(torch.randn(12, 30), torch.randn(12, 30), names=["frechet", "kid"])
    assert set(results) == {"kid"}
    assert "more than 30 items" in refused["frechet"]
    with pytest.raises(UserError, match="did you mean 'frechet'"):
        measure(X, Y, names=["freche"])


def test_score_interval_is_the_inverted_test() -> None:
    """Its ends are as far from the value as z standard errors *at those ends*."""
    low, high = score_interval(3.0, 0.4, 0.08)
    for theta in (low, high):
        assert (3.0 - theta) ** 2 == pytest.approx(1.959964**2 * (0.4 * theta + 0.08), rel=1e-5)
    assert score_interval(3.0, 0.0, 0.25) == pytest.approx(normal_interval(3.0, 0.5))


def test_orders_differ_by_purpose_and_seed() -> None:
    one = order(50, 0, "a")
    assert sorted(one.tolist()) == list(range(50))
    assert torch.equal(one, order(50, 0, "a"))
    assert not torch.equal(one, order(50, 0, "b"))
    assert not torch.equal(one, order(50, 1, "a"))
    for a, b in base.halvings(torch.arange(9)[:, None], 0):
        assert len({*a[:, 0].tolist(), *b[:, 0].tolist()}) == 8


@pytest.mark.parametrize("check", [checks.overlaps, checks.directions])
def test_the_checks_pass(check) -> None:
    assert [o.name for o in check() if not o.passed] == []


def test_swapping_precision_and_recall_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = dict(METRICS)
    monkeypatch.setitem(METRICS, "precision", right["recall"])
    assert any(not o.passed and o.name.startswith("precision") for o in checks.overlaps())
