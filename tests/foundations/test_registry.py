"""Registries are dictionaries whose missing names teach, and the core's registries are consistent."""

from __future__ import annotations

import dataclasses

import pytest

from pellucid.denoisers import TARGETS
from pellucid.foundations.errors import UserError
from pellucid.foundations.registry import Registry
from pellucid.losses import DENSITIES
from pellucid.processes.schedules import SCHEDULES
from pellucid.processes.times import GRIDS
from pellucid.processes.weightings import WEIGHTINGS
from pellucid.solvers import SOLVERS


@pytest.mark.parametrize("registry", [SCHEDULES, WEIGHTINGS, GRIDS, TARGETS, DENSITIES, SOLVERS])
def test_misspelt_names_are_told_the_nearest(registry: Registry):
    name = next(iter(registry))
    with pytest.raises(UserError, match=f"unknown {registry.kind} '{name}x'; did you mean '{name}'"):
        registry[name + "x"]
    assert name in registry
    assert registry.get("no such name") is None


@pytest.mark.parametrize("registry", [WEIGHTINGS, TARGETS, DENSITIES, SOLVERS])
def test_entries_are_frozen(registry: Registry):
    for entry in registry.values():
        value = entry() if callable(entry) and not dataclasses.is_dataclass(type(entry)) else entry
        assert dataclasses.is_dataclass(value)
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.anything = 1
