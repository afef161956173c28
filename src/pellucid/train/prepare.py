"""What every kind of model trains on: the two parts of a data set, and the facts of them that travel with the model."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..config import Config
from ..data.arrays import Dataset, item_hashes, sides, split
from ..data.canaries import plant
from ..data.conditions import Part
from ..data.halves import inclusions
from ..data.infer import ColumnKinds
from ..data.open import open_dataset
from ..data.series_files import SeriesReading, open_series
from ..data.texts import Reading
from ..foundations.errors import UserError
from ..nn.spec import PRESENCE, ConditionSpec
from .trainee import Source


@dataclass(frozen=True)
class Prepared:
    """Data made ready for training.

    Attributes:
        batches: of the training items.
        held: of the held-out ones, without dropout of labels; None where there are none.
        label_names: the classes.
        dataset: the training items.
        data_facts: name, counts and hash.
        config: the settings, with what was measured on the data.
    """

    batches: Any
    held: Source | None
    label_names: tuple[str, ...]
    dataset: Dataset
    data_facts: dict[str, Any]
    config: Config

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.label_names)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What an item can be asked for by, beside its label."""
        return tuple(column.part for column in self.dataset.columns)

    @property
    def conditions(self) -> tuple[ConditionSpec, ...]:
        """What a network must know of the parts, and of what is there of a series."""
        found = tuple(
            ConditionSpec(part.name, part.kind, 1 if part.kind == "items" else part.size, part.shape)
            for part in self.parts
        )
        shape = self.dataset.shape
        own = (ConditionSpec(PRESENCE, PRESENCE, shape[0], shape),) if self.dataset.codec.kind == "series" else ()
        return (*found, *own)


@dataclass(frozen=True)
class Parts:
    """A data set in two.

    Attributes:
        train, held: the items to learn from and those that are not.
        label_names: the classes, () where there are no labels.
        facts: name, source, counts and hash, as JSON values.
    """

    train: Dataset
    held: Dataset
    label_names: tuple[str, ...]
    facts: dict[str, Any]

    def without_labels(self) -> Parts:
        """The same items, of which nobody is to know what they are."""
        train, held = (replace(part, labels=None, label_names=(), columns=()) for part in (self.train, self.held))
        return Parts(train, held, (), self.facts)


def open_split(config: Config) -> tuple[Dataset, Dataset]:
    """The training and the held-out items that settings name.

    Raises:
        UserError: no source given, or one that cannot be read.
    """
    train, held, _ = _sides(config)
    return train, held


def _sides(config: Config) -> tuple[Dataset, Dataset, list[dict[str, Any]]]:
    """Both parts of the data, and the facts of the canaries among the first."""
    dataset, settings = _whole(config), config.data
    if settings.shadow is not None:
        k, num = settings.shadow
        if not 0 <= k < num:
            raise UserError(f"data.shadow = {k}, {num}: of {num} shadow models the first is 0 and the last {num - 1}")
        inside = inclusions(num, item_hashes(dataset.items))[k]
        return dataset.subset(np.flatnonzero(inside)), dataset.subset(np.flatnonzero(~inside)), []
    if not settings.canaries:
        return *split(dataset, settings.holdout), []
    return plant(dataset, *sides(dataset, settings.holdout), settings.canaries)


def _whole(config: Config) -> Dataset:
    """All items that settings name."""
    if config.data.source is None:
        raise UserError(
            "what shall it learn from? Give --data: a folder of pictures, a .npz, .npy, .csv or .txt file, or "
            "a built-in set (moons, digits8, digits, names, verses)"
        )
    settings = config.data
    if config.kind == "table":
        return open_dataset(config.data.source, table=settings.columns)
    asked = bool(settings.conditions or settings.text_model)
    if settings.kind == "series":
        columns = ColumnKinds(settings.conditions, settings.text_model) if asked else None
        series = SeriesReading(settings.length, settings.missing)
        return open_series(config.data.source, series, labels=settings.labels, conditions=columns)
    if settings.missing:
        raise UserError("data.missing is of series: set data.kind=series too, or leave it out")
    given = (settings.symbols, settings.length, settings.cut)
    reading = None if given == (None, None, None) else Reading(*given)
    return open_dataset(
        config.data.source,
        size=settings.size,
        channels=settings.channels,
        labels=settings.labels,
        reading=reading,
        conditions=ColumnKinds(settings.conditions, settings.text_model) if asked else None,
    )


def parts(config: Config) -> Parts:
    """The data of a run.

    Raises:
        UserError: data that cannot be read, or that cannot be mirrored as asked.
    """
    train, held, canaries = _sides(config)
    if train.codec.kind == "series" and config.kind != "diffusion":
        raise UserError(
            f"series with ends of their own, or missing values, are learned by diffusion (recipe signals), not by "
            f"{config.kind}: give series of one length with all of their values"
        )
    if config.data.flip and len(train.shape) != 3:
        raise UserError(f"data.flip mirrors pictures, and these items have the shape {train.shape}: leave it out")
    facts = {
        "name": train.name,
        "source": _absolute(config.data.source),
        "train": len(train),
        "held_out": len(held),
        "rejected": [{"path": str(r.path), "reason": r.reason} for r in train.rejected],
        "sha256": train.fingerprint(),
        **({"canaries": canaries} if canaries else {}),
    }
    return Parts(train, held, train.label_names if train.labels is not None else (), facts)


def _absolute(source: str | None) -> str | None:
    return os.path.abspath(source) if source is not None and os.path.exists(source) else source
