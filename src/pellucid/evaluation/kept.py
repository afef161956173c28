"""Rows that are costly to make, kept on the disk in shards: what was made once is read, and only the rest is made.

A shard is named by the rows that it holds, and lies in a folder that is named by everything the rows depend on. It is
written aside and renamed, and its own sha256 is checked when it is read; one that is damaged is made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..foundations.durable import write_atomic

SETTINGS = "settings.json"
Tensors = Mapping[str, Tensor]
Facts = Mapping[str, float]
Make = Callable[[range], tuple[Tensors, Facts]]
Progress = Callable[[int, int], None]


def key(settings: Mapping[str, Any]) -> str:
    """A short name for everything that rows depend on: 16 digits of the sha256 of its JSON.

    >>> key({"seed": 0}) == key({"seed": 0}), key({"seed": 0}) == key({"seed": 1})
    (True, False)
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Shards:
    """Rows in shards.

    Attributes:
        folder: where they are kept; None keeps nothing.
        size: rows of a shard.
        settings: what the rows depend on; it names the folder inside `folder`, and stands in it for a person to read.
        name: of the folder, before the key.
    """

    folder: Path | None
    size: int
    settings: Mapping[str, Any]
    name: str

    @property
    def place(self) -> Path | None:
        """The folder of these rows."""
        return None if self.folder is None else self.folder / f"{self.name}-{key(self.settings)}"

    def rows(
        self, num: int, make: Make, *, progress: Progress | None = None
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The first `num` rows by name, (num, *), and the sums of their facts.

        Args:
            num: at least 1.
            make: from row numbers to tensors with a row for each, and numbers that add up over rows, such as seconds.
            progress: called with rows done and in all.
        """
        place = self.place
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
            if not (place / SETTINGS).is_file():
                write_atomic(place / SETTINGS, json.dumps(self.settings, indent=1, sort_keys=True) + "\n")
        parts: list[Tensors] = []
        sums: dict[str, float] = {}
        for start in range(0, num, self.size):
            ids = range(start, min(start + self.size, num))
            file = None if place is None else place / f"{start:08d}-{len(ids)}.safetensors"
            found = None if file is None else _read(file, len(ids))
            if found is None:
                tensors, facts = make(ids)
                found = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, dict(facts)
                if file is not None:
                    _write(file, *found)
            parts.append(found[0])
            for name, value in found[1].items():
                sums[name] = sums.get(name, 0.0) + value
            if progress is not None:
                progress(ids.stop, num)
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}, sums


def _write(file: Path, tensors: Tensors, facts: Facts) -> None:
    told = {"facts": json.dumps(facts), "sha256": _digest(tensors)}
    write_atomic(file, safetensors.torch.save(dict(tensors), metadata=told))


def _read(file: Path, num: int) -> tuple[Tensors, Facts] | None:
    """What a shard holds; None where there is none, or where it is damaged."""
    if not file.is_file():
        return None
    try:
        with safetensors.safe_open(file, framework="pt") as opened:
            told = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        facts = {str(name): float(value) for name, value in json.loads(told["facts"]).items()}
        whole = told["sha256"] == _digest(tensors) and all(len(tensor) == num for tensor in tensors.values())
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return (tensors, facts) if whole and tensors else None


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
