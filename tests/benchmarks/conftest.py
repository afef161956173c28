"""Benchmarks are scripts beside one another; here they are imported as a script would import its neighbours."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))


class Scripts:
    """`scripts.quality` is the module `benchmarks/quality.py`."""

    def __getattr__(self, name: str) -> ModuleType:
        return importlib.import_module(name)


@pytest.fixture(scope="package")
def scripts() -> Iterator[Scripts]:
    """The benchmarks' modules; afterwards the path and torch's threads are as before."""
    threads = torch.get_num_threads()
    sys.path.insert(0, str(FOLDER))
    yield Scripts()
    sys.path.remove(str(FOLDER))
    for name in SCRIPTS:
        sys.modules.pop(name, None)
    torch.set_num_threads(threads)
