"""Errors that teach: what was given, what is allowed, what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in what the user gave. The command line prints its message and exits with code 2."""


class MissingExtra(UserError):
    """An optional dependency is needed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}: pip install 'pellucid[{extra}]'")


def closest(given: str, allowed: Iterable[str]) -> str | None:
    """The allowed name nearest to the given one, or None where none is near."""
    names = {name.lower(): name for name in allowed}
    near = difflib.get_close_matches(given.lower(), list(names), n=1, cutoff=0.5)
    return names[near[0]] if near else None


def unknown(kind: str, given: str, allowed: Iterable[str]) -> UserError:
    """The error for a name that does not exist.

    >>> str(unknown("solver", "hune", ["heun", "euler"]))
    "unknown solver 'hune'; did you mean 'heun'? Allowed: euler, heun"
    """
    allowed = sorted(allowed)
    near = closest(given, allowed)
    hint = f"; did you mean {near!r}?" if near else "."
    listed = ", ".join(allowed) if allowed else "none"
    return UserError(f"unknown {kind} {given!r}{hint} Allowed: {listed}")
