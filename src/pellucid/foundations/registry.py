"""A dictionary from the names that users type to what they mean."""

from __future__ import annotations

from typing import TypeVar

from .errors import unknown

V = TypeVar("V")


class Registry(dict[str, V]):
    """Maps names to implementations; a name that is missing raises a `UserError` with the nearest one.

    >>> Registry("fruit", {"apple": 1})["apple"]
    1
    >>> Registry("fruit", {"apple": 1})["aple"]
    Traceback (most recent call last):
        ...
    pellucid.foundations.errors.UserError: unknown fruit 'aple'; did you mean 'apple'? Allowed: apple
    """

    def __init__(self, kind: str, entries: dict[str, V]) -> None:
        super().__init__(entries)
        self.kind = kind

    def __missing__(self, name: str) -> V:
        raise unknown(self.kind, name, self)
