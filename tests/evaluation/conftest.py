"""A small run, and samples of one's own choice in place of its model's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pellucid.comparison.contestants import Drawn
from pellucid.config import resolve
from pellucid.data.arrays import Dataset
from pellucid.evaluation import subject
from pellucid.train.prepare import open_split
from pellucid.train.run import Run

from ..small import trained

Choose = Callable[[Any, Any], None]


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("evaluated") / "run").run.path


@pytest.fixture(scope="session")
def parts(small_run: Path) -> tuple[Dataset, Dataset]:
    """What the run was trained on, and what it held out."""
    return open_split(resolve([("", Run.open(small_run).config)]).config)


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Choose:
    """`choose(items, labels)` makes these the model's samples, in turn."""

    def use(items: Any, labels: Any) -> None:
        def draw(model: Any, num: int, *, seed: int = 0, first: int = 0, label: Any = None) -> Drawn:
            at = np.arange(first, first + num) % len(items)
            told = None if labels is None else torch.from_numpy(np.asarray(labels)[at])
            return Drawn(np.asarray(items)[at], told, 0.5 * num, 3.0)

        monkeypatch.setattr(subject, "draw", draw)

    return use
