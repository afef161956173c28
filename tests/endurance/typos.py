"""Every key of the settings with each kind of one typo, somewhere in the word."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.config import keys, nested, resolve
from pellucid.foundations.errors import UserError

from ..test_config import typos
from .table import Effort, Row, Tally
from .tiny import Whole


def rows(effort: Effort, whole: Whole) -> Iterator[Row]:
    """The promises about misspelt settings."""
    random, refused, right, known = np.random.default_rng(effort.seed), Tally(), Tally(), set(keys())
    for key in sorted(known):
        *section, name = key.split(".")
        for _ in range(effort.times(5, 1)):
            for wrong in typos(name, random):
                given = ".".join([*section, wrong])
                if given in known:
                    continue
                try:
                    resolve([("typo", nested({given: 1}))])
                    told = ""
                except UserError as error:
                    told = str(error)
                refused.add("unknown setting" in told, given)
                right.add(f"did you mean {name!r}" in told, f"{given}: {told[:80]}")
    how = f"a letter lost, doubled or changed, or two swapped, in each of {len(known)} keys"
    yield refused.row("A misspelt setting is refused", how)
    yield right.row("The refusal names the right setting (at least 95 %)", how, least=0.95)
