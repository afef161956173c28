"""Samples that are no diffusion model's own as files: of an energy model, or of several models together."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from .energies.ebm import EnergyModel
from .made import Made, new_folder, write_items
from .train.ebm import sheet


@dataclass(frozen=True)
class Told:
    """What one sample depends on.

    Attributes:
        id: its number.
        facts: everything else, as JSON values.
        label, conditions: none: it was asked for nothing.
    """

    id: int
    facts: Mapping[str, Any]
    label: str | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they are kept in the file."""
        return {**self.facts, "id": self.id}


def write_made(
    folder: Path, kind: str, items: Any, look: Image.Image, facts: Mapping[str, Any], *, first: int, seconds: float
) -> Made:
    """Items in the data's own units as files, a sheet of all, and what they depend on in made.json.

    Args:
        folder: a new one.
        kind: of the items' codec.
        items: (N, *).
        look: the sheet.
        facts: what all depend on, as JSON values.
        first: the number of the first.
        seconds: what they took.
    """
    told = [Told(first + i, facts) for i in range(len(items))]
    folder.mkdir(parents=True, exist_ok=True)
    files = write_items(kind, folder, items, told)
    look.save(folder / "sheet.png")
    (folder / "made.json").write_text(json.dumps([one.to_json() for one in told], indent=1) + "\n", encoding="utf-8")
    return Made(folder, tuple(files), folder / "sheet.png", seconds)


def make_ebm(
    model: EnergyModel,
    num: int,
    *,
    out: Path | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
) -> Made:
    """Samples of an energy model into files; arguments are those of `EnergyModel.sample`.

    Args:
        out: a folder that does not exist or is empty; MODEL/made-1, numbered, if absent.

    Raises:
        UserError: numbers out of range, or a folder in use; nothing is then written.
    """
    folder = new_folder(out, Path(model.origin) if Path(model.origin).is_dir() else Path(), "made")
    started = time.perf_counter()
    samples = model.sample(num, seed=seed, first=first, batch_size=batch_size or 1024)
    seconds = time.perf_counter() - started
    facts = {"model": model.origin, "weights": model.weights_hash, "seed": seed}
    codec = model.card.codec
    return write_made(
        folder, codec.kind, codec.decode(samples), sheet(model.card, samples), facts, first=first, seconds=seconds
    )
