"""What a recipe is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Settings for a kind of data.

    Attributes:
        name: what users type.
        summary: one sentence, with the result that was measured.
        settings: nested settings that differ from the schema's defaults.
    """

    name: str
    summary: str
    settings: Mapping[str, Any]
