"""Samples of a model of a table as files: a csv with the columns of the one that was learned from, and a picture."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import resolve
from ..data.table_looks import look_at
from ..data.tables import write_rows
from ..foundations.errors import UserError
from ..made import new_folder
from ..train.prepare import open_split
from ..train.run import CONFIG, Run
from .generate import sample_rows, table_settings
from .known import asked_cells
from .model import TableModel


@dataclass(frozen=True)
class MadeTable:
    """What was written: the folder, its files (the csv first), and the seconds that sampling took."""

    folder: Path
    files: tuple[Path, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"folder": str(self.folder), "files": [str(file) for file in self.files], "seconds": self.seconds}


def make_table(
    model: TableModel,
    num: int,
    *,
    out: Path | None = None,
    where: Mapping[str, Sequence[str] | str] | None = None,
    solver: str | None = None,
    steps: int | None = None,
    grid: str | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MadeTable:
    """Rows into files: table.csv, table.png with every column and some pairs of them beside the data, and table.json
    with what the rows depend on.

    The csv has all columns of the table that was learned from, in their order, each with its digits and inside its
    range. Constant columns say what they always say; those that were left out are empty.

    Args:
        model: from `load_table`.
        num: how many; see `sample_rows` for this and the rest.
        out: a folder that does not exist or is empty; MODEL/made-1, numbered, if absent.

    Raises:
        UserError: settings that the model cannot serve, or a folder in use; nothing is then written.
    """
    settings = table_settings(model, solver=solver, steps=steps, grid=grid, seed=seed)
    asked_cells(model.codec, where or {}, range(1))  # what cannot be asked for is told before there is a folder
    folder = new_folder(out, Path(model.origin) if Path(model.origin).is_dir() else Path(), "made")
    started = time.perf_counter()
    samples = sample_rows(
        model,
        num,
        where=where,
        solver=solver,
        steps=steps,
        grid=grid,
        seed=seed,
        first=first,
        batch_size=batch_size,
        progress=progress,
    )
    seconds = time.perf_counter() - started
    packed = model.decode(samples)
    rows = model.codec.rows(packed)
    for name, cells in (where or {}).items():
        j = [one.name for one in model.codec.fields].index(name)
        several = [cells] if isinstance(cells, str) else list(cells)
        for i, row in enumerate(rows):
            row[j] = several[(first + i) % len(several)].strip()
    folder.mkdir(parents=True, exist_ok=True)
    table, picture, told = (folder / f"table.{suffix}" for suffix in ("csv", "png", "json"))
    write_rows(table, [one.name for one in model.codec.fields], rows)
    picture.write_bytes(look_at(model.codec, {**_data_of(model), "made": packed}))
    facts = {
        "model": model.origin,
        "weights": model.weights_hash,
        "settings": vars(settings),
        "first": first,
        "num": num,
        "where": dict(where or {}),
    }
    told.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return MadeTable(folder, (table, picture, told), seconds)


def _data_of(model: TableModel) -> dict[str, NDArray[np.float32]]:
    """What the run's model learned from, where it lies in a run and the data are still there."""
    path = Path(model.origin)
    if not (path / CONFIG).is_file():
        return {}
    try:
        train, _ = open_split(resolve([("", Run.open(path).config)]).config)
    except UserError:
        return {}
    return {"data": np.asarray(train.items[:])} if train.codec == model.codec else {}
