"""Budgets: what is written is what is meant, and what is not understood is explained."""

from __future__ import annotations

import pytest

from pellucid.foundations.errors import UserError
from pellucid.train.budget import Budget, items_for, parse_budget

GOOD = {
    "10m": Budget(seconds=600.0),
    "90s": Budget(seconds=90.0),
    "1.5h": Budget(seconds=5400.0),
    "1h30m": Budget(seconds=5400.0),
    "1d": Budget(seconds=86400.0),
    "200k-items": Budget(items=200_000),
    "3M-items": Budget(items=3_000_000),
    "1.5k-items": Budget(items=1500),
    "1-item": Budget(items=1),
    "40-epochs": Budget(epochs=40.0),
    "0.5-epochs": Budget(epochs=0.5),
}


@pytest.mark.parametrize(("text", "budget"), GOOD.items())
def test_reads_and_writes_back(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget
    assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize("seconds", [0.1, 1e-7, 59.0, 61.5, 3601.0, 7200.0, 1e9])
def test_every_time_survives_its_text(seconds: float) -> None:
    assert parse_budget(str(Budget(seconds=seconds))) == Budget(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10", "10m or 10-epochs"),
        ("10M", "10M-items or 10m"),
        ("200k", "200k-items"),
        ("5 minutes", "5m"),
        ("200K items", "200k-items"),
        ("40epochs", "40-epochs"),
        ("10 min", "10m"),
        ("soon", "Allowed"),
        ("", "Allowed"),
        ("-5m", "Allowed"),
        ("0m", "no positive length"),
        ("0-items", "no positive length"),
        ("0.5-items", "whole number"),
        ("9" * 400 + "h", "no positive length"),
    ],
)
def test_errors_teach(text: str, hint: str) -> None:
    with pytest.raises(UserError) as error:
        parse_budget(text)
    assert hint in str(error.value)
    assert repr(text) in str(error.value)


def test_a_budget_is_exactly_one_thing() -> None:
    for bad in ({}, {"seconds": 1.0, "items": 2}, {"seconds": float("inf")}, {"epochs": -1.0}):
        with pytest.raises(ValueError, match="one positive number"):
            Budget(**bad)


def test_items() -> None:
    assert items_for(Budget(items=7), 0.0, 0) == 7
    assert items_for(Budget(epochs=2.5), 0.0, 100) == 250
    assert items_for(Budget(seconds=10.0), 99.99, 1) == 999  # rounded down: it must end when said
    assert items_for(Budget(seconds=0.001), 1.0, 1) == 1
    with pytest.raises(ValueError, match="items_per_second"):
        items_for(Budget(seconds=1.0), float("nan"), 1)
    with pytest.raises(ValueError, match="with items"):
        items_for(Budget(epochs=1.0), 1.0, 0)
