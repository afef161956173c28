"""How conditions are given on the command line."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

Several = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]


def assigned(flag: str, given: list[str] | None) -> dict[str, Any]:
    """Conditions given as NAME=VALUE: one value, or several in the order of the flags."""
    from ..foundations.errors import UserError

    found: dict[str, list[str]] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UserError(f"{flag} takes NAME=VALUE, got {text!r}; for example {flag} age=3.5")
        found.setdefault(name.strip(), []).append(value)
    return dict(found)


def labels_in(text: str, names: tuple[str, ...]) -> list[str]:
    """Classes separated by commas; a class may have a comma in its own name."""
    return [text] if text in names else [part.strip() for part in text.split(",")]
