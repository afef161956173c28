"""Small runs on texts for the tests of what a model of symbols serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pellucid.config import Resolved, nested, resolve
from pellucid.train.start import Finished, begin

from .small import Watcher

PARTS = ["an", "bob", "abba", "nab", "bana", "ob"]
TINY_TEXT = {
    "recipe": "tiny",
    "kind": "tokens",
    "data.holdout": 0.3,
    "process.kind": "absorbing",
    "process.schedule": "linear",
    "network.width": 16,
    "network.blocks": 1,
    "training.budget": "256-items",
    "training.batch_size": 32,
    "training.pictures": 0,
    "sampling.solver": "ancestral",
    "sampling.steps": 4,
}


def words(folder: Path) -> Path:
    """A file of 36 short words over four letters."""
    file = folder / "words.txt"
    file.write_text("\n".join(first + second for first in PARTS for second in PARTS))
    return file


def text_settings(**changes: Any) -> Resolved:
    """The tiny run's settings; `training__lr=1` changes training.lr."""
    return resolve([("test", nested({**TINY_TEXT, **{key.replace("__", "."): v for key, v in changes.items()}}))])


def text_run(folder: Path, **changes: Any) -> Finished:
    """A tiny run on `words`, trained in a second or two."""
    folder.mkdir(parents=True, exist_ok=True)
    return begin(text_settings(data__source=str(words(folder)), **changes), folder / "run", observer=Watcher())
