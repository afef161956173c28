"""How long to train, in a unit that a person thinks in: a time, a number of items, passes over the data."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from pellucid.foundations.errors import UserError

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SCALES = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_TIME = re.compile(rf"(?:{_NUMBER}(?:d|h|m|s))+")
_PART = re.compile(rf"{_NUMBER}([dhms])")
_ITEMS = re.compile(rf"{_NUMBER}([kMG]?)-items?")
_EPOCHS = re.compile(rf"{_NUMBER}-epochs?")
_ALLOWED = "a time (90s, 10m, 1.5h, 1h30m), a number of items (200k-items, 3M-items) or passes (40-epochs)"


@dataclass(frozen=True)
class Budget:
    """Exactly one of `seconds`, `items` and `epochs` is set, and it is positive and finite."""

    seconds: float | None = None
    items: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.seconds, self.items, self.epochs) if value is not None]
        if len(given) != 1 or not 0 < given[0] < math.inf:
            raise ValueError(f"a budget is one positive number of seconds, items or epochs, got {self!r}")

    def __str__(self) -> str:
        """The text that `parse_budget` reads back as this budget."""
        if self.items is not None:
            return f"{self.items}-items"
        if self.epochs is not None:
            return f"{_plain(self.epochs)}-epochs"
        assert self.seconds is not None
        for unit, length in (("h", 3600.0), ("m", 60.0)):
            if self.seconds >= length and self.seconds % length == 0:
                return f"{_plain(self.seconds / length)}{unit}"
        return f"{_plain(self.seconds)}s"


def _plain(value: float) -> str:
    """A positive number without an exponent, exact."""
    text = f"{value:.17f}" if "e" in repr(value) else repr(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_budget(text: str) -> Budget:
    """Reads "10m", "90s", "1.5h", "1h30m", "200k-items", "3M-items" or "40-epochs".

    Raises `UserError` that says what was given, what is allowed and, where it can be guessed, what was meant.

    >>> parse_budget("1.5h").seconds, parse_budget("200k-items").items, parse_budget("40-epochs").epochs
    (5400.0, 200000, 40.0)
    """
    given = text.strip()
    try:
        if _TIME.fullmatch(given):
            return Budget(seconds=sum(float(n) * _SECONDS[unit] for n, unit in _PART.findall(given)))
        if match := _ITEMS.fullmatch(given):
            items = float(match.group(1)) * _SCALES[match.group(2)]
            if items != int(items):
                raise UserError(f"budget {text!r} is {items:g} items: give a whole number")
            return Budget(items=int(items))
        if match := _EPOCHS.fullmatch(given):
            return Budget(epochs=float(match.group(1)))
    except UserError:
        raise
    except (ValueError, OverflowError):
        raise UserError(f"budget {text!r} is no positive length: need {_ALLOWED}") from None
    hint = _guess(given)
    raise UserError(f"cannot read budget {text!r}{f'; did you mean {hint}?' if hint else '.'} Allowed: {_ALLOWED}")


def _guess(given: str) -> str | None:
    """What a text that is nearly a budget may have meant."""
    match = re.fullmatch(rf"{_NUMBER}[ _-]*([A-Za-z]*)(?:[ _-]*items?)?", given)
    if match is None:
        return None
    number, unit = match.groups()
    if not unit:
        return f"{number}m or {number}-epochs"
    word = unit.lower()
    if given.lower().endswith(("item", "items")):
        scale = {"k": "k", "m": "M", "g": "G"}.get(word[0], "")
        return f"{number}{scale}-items"
    if unit in ("k", "K", "G", "M"):
        scale = "k" if word == "k" else unit
        return f"{number}{scale}-items" + (f" or {number}m" if unit == "M" else "")
    if word.startswith("epoch"):
        return f"{number}-epochs"
    return f"{number}{word[0]}" if word[0] in _SECONDS else None


def items_for(budget: Budget, items_per_second: float, num_items: int) -> int:
    """The number of training items that a budget buys, at least 1.

    Args:
        items_per_second: measured speed of training, items/s (used by a budget in seconds only).
        num_items: size of the training set (used by a budget in epochs only).

    >>> items_for(parse_budget("10m"), 500.0, 4000), items_for(parse_budget("40-epochs"), 500.0, 4000)
    (300000, 160000)
    """
    if budget.items is not None:
        return budget.items
    if budget.epochs is not None:
        if num_items < 1:
            raise ValueError(f"a budget in epochs needs a data set with items, got {num_items}")
        return max(1, round(budget.epochs * num_items))
    assert budget.seconds is not None
    if not 0 < items_per_second < math.inf:
        raise ValueError(f"items_per_second must be positive and finite, got {items_per_second}")
    return max(1, int(budget.seconds * items_per_second))
