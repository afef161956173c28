"""The order in which a person lists names."""

from __future__ import annotations


def natural(name: str) -> tuple[int, float, str]:
    """A sorting key that puts numbers first and in the order of their size."""
    try:
        return 0, float(int(name)), name
    except ValueError:
        return 1, 0.0, name
