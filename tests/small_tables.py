"""A small table with every kind of column, and small models of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pellucid.config import ProcessSettings, SamplingSettings, nested, resolve
from pellucid.data.table_codec import TableCodec
from pellucid.data.tables import open_table
from pellucid.recipes import RECIPES
from pellucid.tables.model import TableCard, TableModel, make_row_denoiser
from pellucid.train.start import Finished, begin
from pellucid.train.table import describe

from .small import Watcher

HEADER = "kind,size,count,day,name,unit,grade"
SMALL = {
    "network.width": 16,
    "network.blocks": 1,
    "training.budget": "256-items",
    "training.batch_size": 32,
    "training.pictures": 0,
    "sampling.steps": 8,
}


def write_table(path: Path, rows: int = 80) -> Path:
    """A csv file: a category, numbers with missing cells, integers, dates, names, a constant, a category with missing
    cells."""
    random = np.random.default_rng(0)
    kinds = random.choice(["ant", "bee"], rows)
    sizes = np.where(kinds == "ant", 2.0, 5.0) + 0.3 * random.standard_normal(rows)
    lines = [HEADER]
    for i in range(rows):
        size = "" if random.random() < 0.2 else f"{sizes[i]:.2f}"
        day = np.datetime64("2024-01-01") + int(random.integers(90))
        grade = random.choice(["a", "b", ""], p=[0.5, 0.3, 0.2])
        lines.append(f"{kinds[i]},{size},{random.integers(20)},{day},row {i},mm,{grade}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table_model(path: Path) -> TableModel:
    """An untrained model of the table in a file, its last layers drawn at random so that all inputs matter."""
    data = open_table(path)
    config = resolve([("", RECIPES["table"].settings), ("", nested(SMALL))]).config
    settings = ProcessSettings(kind="absorbing", schedule="rectified", sigma_data=1.0)
    torch.manual_seed(0)
    spec = describe(config, data)
    denoiser = make_row_denoiser(spec, settings).eval().requires_grad_(False)
    for module in denoiser.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.3)
    assert isinstance(data.codec, TableCodec)
    sampling = SamplingSettings(solver="ancestral", steps=8, grid="uniform")
    return TableModel(denoiser, TableCard(spec, settings, data.codec, sampling), "0" * 64)


def trained_table(folder: Path, **changes: Any) -> Finished:
    """A run on the table, trained in a second."""
    data = write_table(folder / "data.csv")
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    settings = nested({**SMALL, "data.source": str(data), **dotted})
    layers = [("recipe", {"recipe": "table", **RECIPES["table"].settings}), ("test", settings)]
    return begin(resolve(layers), folder / "run", observer=Watcher())
