"""The audit of a model: copies, extraction, near-duplicates, membership, canaries, and what they could have seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.arrays import Dataset, item_hashes
from ..data.canaries import marked
from ..data.rows import pick
from ..foundations.errors import UserError
from ..generate import sample
from ..model import Model
from .canaries import Canaries, copies_of
from .copies import LEVEL, find_copies
from .duplicates import find_duplicates
from .extraction import extract
from .members import LOSS, Audited, scored, some, statistics_of
from .membership import STATISTICS, membership
from .result import FINDINGS, Audit
from .roc import Curve
from .shadows import LIRA, Shadow, shadow_scores
from .tolerant import shifted

Progress = Callable[[str, int, int], None]
_DECODED = 256  # samples brought to the items' scale together
_LEAST = 4


def audit(
    model: Model,
    train: Dataset,
    held: Dataset,
    *,
    num: int = 1000,
    made: Tensor | None = None,
    items: int = 500,
    statistics: Sequence[str] | None = None,
    shadows: Sequence[Shadow] = (),
    level: float | None = None,
    allow_overlap: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Audit:
    """Audits a model for memorised training items.

    Args:
        model: from `load`.
        train: the items it was trained on.
        held: items of the same kind that it has not seen.
        num: samples.
        made: samples that are there already, in the scale of the data's codec, (num, *).
        items: of each side, at most, in the test of membership.
        statistics: names among `STATISTICS`; all if absent.
        shadows: models trained on halves of the same items, for the likelihood ratio.
        level: false-alarm rate of the search for copies; 1 %, or the least that the held-out items allow, if absent.
        allow_overlap: leave out held-out items that are in the training set too, in place of refusing.
        seed: of samples and choices.
        progress: called as progress(what, done, total).

    Raises:
        UserError: items of another shape than the model's, sides that overlap, or too few items.
    """
    if model.card.codec.items.kind == "series":
        raise UserError(
            "an audit measures distances between items that have all of their values, and series with ends of their "
            "own, or missing values, have not: train on windows of one length (data.length) to audit"
        )
    follow = progress or (lambda what, done, total: None)
    held, notes = apart(model, train, held, allow_overlap)
    for name in statistics or ():
        STATISTICS[name]
    level, told = level_for(level, len(held))
    notes += told
    x, y = (each.fetch(np.arange(len(each)))[0] for each in (train, held))
    if made is None:
        drawn = sample(model, num, seed=seed, force=True, progress=lambda i, n: follow("sampling", i, n))
        made = torch.cat([model.card.codec.outward(part) for part in drawn.split(_DECODED)]).cpu()
    pictures = x.ndim == 4
    follow("near-duplicates", 0, 1)
    duplicates = find_duplicates(x)
    # Of an item that is there again and again all nearest neighbours would be that item, and none nearer than another.
    kept = torch.from_numpy(duplicates.kept)
    follow("comparing", 0, 1)
    copies = {"pixels" if pictures else "values": find_copies(made, x[kept], y, level=level, seed=seed)}
    if pictures and min(x.shape[2:]) >= 8:
        follow("comparing at every shift", 0, 1)
        copies["shifted"] = find_copies(made, x[kept], y, level=level, seed=seed, search=shifted)
    copies = {name: each.among(kept) for name, each in copies.items()}
    first = next(iter(copies.values()))
    members = ordinary(model, train, duplicates.kept)
    curves = membership_curves(model, members, held, statistics, shadows, items=items, seed=seed, progress=progress)
    return Audit(
        len(train),
        len(held),
        len(made),
        copies,
        None,
        extract(made, x, y, copies=first),
        duplicates,
        curves,
        canaries_of(model, train, held, first.nearest[first.flagged], items=items, seed=seed),
        tuple(notes),
        model.weights_hash,
    )


def level_for(level: float | None, held: int) -> tuple[float, list[str]]:
    """The false-alarm rate of a search for copies, and a note where the held-out items do not allow the usual one."""
    if level is not None:
        return level, []
    least = 1 / (held + 1)
    if least <= LEVEL:
        return LEVEL, []
    return least, [f"{held} held-out items state false-alarm rates down to {100 * least:.2g} % only"]


def apart(model: Audited, train: Dataset, held: Dataset, allow: bool) -> tuple[Dataset, list[str]]:
    """The held-out items that are not in the training set, and what is to be told of the others.

    Raises:
        UserError: items of another shape or scale, sides that overlap and may not, or too few items.
    """
    codec = model.card.codec.items
    for name, data in (("training", train), ("held-out", held)):
        if data.shape != codec.shape or data.codec != codec:
            raise UserError(
                f"the {name} items ({data.name}) have the shape {data.shape} and another scale or kind than the "
                f"model's ({codec.kind} items of the shape {codec.shape}): give both from the source it learned from"
            )
    both = np.isin(item_hashes(held.items), item_hashes(train.items))
    if both.any() and not allow:
        raise UserError(
            f"{int(both.sum()):,} of {len(held):,} held-out items are in the training set too, so the model has seen "
            "them: give items that it has not, or leave these out with --allow-overlap"
        )
    held = held.subset(np.flatnonzero(~both))
    if len(held) < _LEAST or len(train) < _LEAST:
        raise UserError(f"an audit needs at least {_LEAST} items on each side, got {len(train)} and {len(held)}")
    return held, [f"{int(both.sum()):,} held-out items were in the training set: left out"] if both.any() else []


def membership_curves(
    model: Audited,
    train: Dataset,
    held: Dataset,
    statistics: Sequence[str] | None,
    shadows: Sequence[Shadow],
    *,
    items: int,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, tuple[Curve, Curve]]:
    """Each statistic's curve and its control, and that of the likelihood ratio where there are shadow models."""
    follow = progress or (lambda what, done, total: None)
    names = statistics_of(model) if statistics is None else tuple(statistics)
    inside, outside = some(train, items, seed), some(held, items, seed)
    total = len(inside) + len(outside)
    found: dict[str, tuple[Curve, Curve]] = {}
    values: dict[str, tuple[Tensor, Tensor]] = {}
    for name in names:

        def of(data: Dataset, done: int, name: str = name) -> Tensor:
            return scored(model, data, name, progress=lambda i, n: follow(f"membership: {name}", done + i, total))

        values[name] = of(inside, 0), of(outside, len(inside))
        found[name] = membership(name, *values[name], seed=seed)
    if shadows:
        errors = values.get(LOSS) or (scored(model, inside), scored(model, outside))
        ours = shadow_scores(errors, shadows, inside, outside, progress=lambda i, n: follow("shadow models", i, n))
        found[LIRA] = membership(LIRA, *ours, seed=seed)
    return found


def ordinary(model: Audited, train: Dataset, kept: NDArray[np.int64]) -> Dataset:
    """The training items by which membership is judged: each once, as an area takes its items for independent, and no
    canaries, which are unlike the held-out items.

    Args:
        model: with its card.
        train: all of them.
        kept: the indices of those that are no near-duplicates of an earlier one.
    """
    planted = np.array([int(each["hash"], 16) for each in model.card.data.get("canaries", ())], np.uint64)
    return train.subset(kept[~np.isin(item_hashes(pick(train.items, kept)), planted)])


def canaries_of(
    model: Audited, train: Dataset, held: Dataset, copied: Tensor, *, items: int, seed: int
) -> Canaries | None:
    """What became of the canaries that the model's card tells of; None where the training items have none.

    Args:
        model: with its card.
        train, held: both sides.
        copied: the training item of each sample that is a copy, (K,).
        items: twins, at most.
        seed: of the choice of twins.
    """
    told = model.card.data.get("canaries")
    if not told:
        return None
    hashes = item_hashes(train.items)
    places = [np.flatnonzero(hashes == np.uint64(int(each["hash"], 16))) for each in told]
    there = [(each, place) for each, place in zip(told, places, strict=True) if len(place)]
    if not there:
        return None
    scores = scored(model, train.subset([place[0] for _, place in there]))
    twins = scored(model, marked(held, some(held, items, seed), "twin"))
    repeats = torch.tensor([int(each["repeats"]) for each, _ in there])
    counts = copies_of(copied, [torch.from_numpy(place) for _, place in there])
    return Canaries(repeats, scores, twins, counts)


__all__ = ["FINDINGS", "Audit", "audit"]
