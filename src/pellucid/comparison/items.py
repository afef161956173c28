"""The items that models are compared on: the same for all, and none that any of them has learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..config import resolve
from ..data.arrays import Dataset, item_hashes
from ..data.open import open_dataset
from ..foundations.errors import UserError
from ..train.prepare import open_split
from .contestants import Contestant


@dataclass(frozen=True, eq=False)
class Items:
    """What is judged on.

    Attributes:
        held: items that no contestant was trained on.
        train: items that the first contestant was trained on; None where they are gone.
        excluded: items of the data given that some contestant was trained on, and that were left out.
        notes: what a reader should know of the choice, a sentence each.
    """

    held: Dataset
    train: Dataset | None
    excluded: int = 0
    notes: tuple[str, ...] = ()


def common_items(contestants: Sequence[Contestant], data: str | Dataset | None = None) -> Items:
    """The held-out items that all contestants share; or the data given, without what any was trained on.

    Raises:
        UserError: items of different shapes, held-out items that differ, none at all, or data that are gone.
    """
    _same_shape(contestants)
    if data is None:
        parts = [own_split(each) for each in contestants]
        first = _identity(parts[0][1])
        for each, (_, held) in zip(contestants[1:], parts[1:], strict=True):
            if not np.array_equal(_identity(held), first):
                raise UserError(
                    f"{contestants[0].name} held out {len(parts[0][1]):,} items of {parts[0][1].name}, and {each.name} "
                    f"other {len(held):,} of {held.name}: give --data, on which all are then judged"
                )
        train, held = parts[0]
        if not len(held):
            raise UserError(f"{contestants[0].name} held out no items: give --data, on which all are then judged")
        return Items(held, train)
    given = data if isinstance(data, Dataset) else _opened(data, contestants[0])
    if given.shape != contestants[0].codec.shape or given.codec.kind != contestants[0].codec.kind:
        raise UserError(
            f"the models know {contestants[0].codec.kind} items of the shape {contestants[0].codec.shape}; the data "
            f"{given.name!r} hold {given.codec.kind} items of the shape {given.shape}"
        )
    hashes, known, notes = item_hashes(given.items), np.zeros(len(given), bool), []
    trains = [_train(each) for each in contestants]
    for each, seen in zip(contestants, trains, strict=True):
        if seen is None:
            notes.append(f"What {each.name} was trained on is gone, so its items cannot be left out.")
        else:
            known |= np.isin(hashes, item_hashes(seen.items))
    excluded = int(known.sum())
    if excluded:
        notes.append(f"{excluded:,} of {len(given):,} items of {given.name} were trained on, and are left out.")
    if known.all():
        raise UserError(f"all {len(given):,} items of {given.name} are training items of these models: give others")
    return Items(given.subset(np.flatnonzero(~known)), trains[0], excluded, tuple(notes))


def _same_shape(contestants: Sequence[Contestant]) -> None:
    first = contestants[0]
    for each in contestants[1:]:
        if (each.codec.kind, each.codec.shape) != (first.codec.kind, first.codec.shape):
            raise UserError(
                f"{first.name} makes {first.codec.kind} items of the shape {first.codec.shape}, and {each.name} "
                f"{each.codec.kind} items of the shape {each.codec.shape}: only models of the same items compare"
            )


def own_split(contestant: Contestant) -> tuple[Dataset, Dataset]:
    """The training and the held-out items of a contestant, which its card's hash confirms."""
    facts, name = contestant.facts, contestant.name
    if contestant.run is not None:
        train, held = open_split(resolve([("", contestant.run.config)]).config)
    elif facts.get("source"):
        # An item is held out if its hash is small: so many items with the smallest hashes are the held-out ones.
        dataset = _opened(facts["source"], contestant)
        order = np.argsort(item_hashes(dataset.items), kind="stable")
        count = int(facts["held_out"])
        held, train = dataset.subset(np.sort(order[:count])), dataset.subset(np.sort(order[count:]))
    else:
        raise UserError(f"{name} does not say where its data are: give --data, on which all are then judged")
    if train.fingerprint() != facts["sha256"]:
        raise UserError(
            f"the data that {name} was trained on ({facts['name']}) are no longer what they were: give --data, on "
            "which all are then judged"
        )
    return train, held


def _train(contestant: Contestant) -> Dataset | None:
    try:
        return own_split(contestant)[0]
    except UserError:
        return None


def _identity(held: Dataset) -> NDArray[np.uint64]:
    """What the items are, whatever their order and their labels."""
    return np.sort(item_hashes(held.items))


def _opened(source: str, contestant: Contestant) -> Dataset:
    """The data of a name or path, pictures of a folder in the model's own size."""
    shape = contestant.codec.shape
    if Path(source).is_dir() and len(shape) == 3:
        return open_dataset(source, size=shape[1], channels=shape[0])
    return open_dataset(source)
