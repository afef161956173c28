"""Attempts to break what pellucid promises: `python -m tests.endurance` runs them all and prints one table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

FAMILIES = {
    "kills": "Kills",
    "damage": "Damaged and malicious files",
    "pictures": "Hostile pictures",
    "disk": "Races for a folder",
    "typos": "Misspelt settings",
}


def family(name: str) -> Callable[..., Iterator[Any]]:
    """What makes the rows of a family, `rows(effort, whole)`."""
    rows: Callable[..., Iterator[Any]] = importlib.import_module(f"{__name__}.{name}").rows
    return rows
