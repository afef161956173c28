"""The audit of a model: copies, extraction, near-duplicates, membership, canaries, and what they could have seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Dataset, item_hashes
from ..foundations.errors import UserError
from ..foundations.rng import subseed
from ..generate import sample
from ..metrics.base import order
from ..model import Model
from .canaries import Canaries
from .copies import LEVEL, Copies, find_copies
from .duplicates import Duplicates, find_duplicates
from .extraction import Candidate, extract
from .membership import STATISTICS, membership, membership_scores
from .power import ALARM, CHANCE
from .roc import Curve
from .tolerant import shifted

Progress = Callable[[str, int, int], None]
FINDINGS = ("copies", "extraction", "membership")


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        num_train, num_held: the items of both sides.
        generated: the samples, (N, *), in the model's scale.
        copies: by each way of comparing: "pixels" or "values", and "shifted" for pictures.
        extracted: clumps of samples, the tightest first.
        duplicates: among the training items.
        membership: each statistic's curve, and its control between held-out halves.
        canaries: where the training set has some.
        notes: what limits the findings.
        weights_hash: of the model.
    """

    num_train: int
    num_held: int
    generated: Tensor
    copies: dict[str, Copies]
    extracted: tuple[Candidate, ...]
    duplicates: Duplicates
    membership: dict[str, tuple[Curve, Curve]]
    canaries: Canaries | None
    notes: tuple[str, ...]
    weights_hash: str

    @property
    def failed(self) -> tuple[str, ...]:
        """The findings, among `FINDINGS`, that are more than chance explains: each in at most 2.5 % of audits of a
        model that memorised nothing, however many ways of looking it has."""
        found = []
        if min(each.chance for each in self.copies.values()) <= ALARM / len(self.copies):
            found.append("copies")
        if any(candidate.extracted for candidate in self.extracted):
            found.append("extraction")
        if min(curve.chance for curve, _ in self.membership.values()) <= ALARM / len(self.membership):
            found.append("membership")
        return tuple(found)

    def sentences(self) -> dict[str, str]:
        """The verdict on each finding in plain words, with its limits."""
        num = len(self.generated)
        main = next(iter(self.copies.values()))
        worst = max(self.copies.values(), key=lambda each: each.rate.value)
        limit = 100 * main.seen
        flagged = f"{len(worst.flagged):,} of {num:,} samples are nearer to a training item than all but "
        flagged += f"{100 * worst.level:.2g} % of held-out items are"
        if "copies" in self.failed:
            copies = f"It copies: {flagged}, which chance does not explain."
        else:
            copies = (
                f"No more copies than chance: {flagged}. At {num:,} samples a share of copies above {limit:.2g} % "
                f"would have been seen with {100 * CHANCE:.0f} % probability."
            )
        confirmed = [candidate for candidate in self.extracted if candidate.extracted]
        if confirmed:
            extraction = (
                f"{len(confirmed)} training items came out as clumps of samples, the largest of "
                f"{max(len(candidate.samples) for candidate in confirmed)}."
            )
        else:
            extraction = f"No training item came out as a clump of samples ({len(self.extracted)} clumps looked at)."
        name, (best, _) = max(self.membership.items(), key=lambda item: item[1][0].auc.value)
        area = f"area {best.auc.text}, {best.auc.interval}"
        if "membership" in self.failed:
            member = f"Its errors tell training items from held-out ones (by {name}: {area})."
        else:
            member = f"Its errors do not tell training items from held-out ones (best by {name}: {area})."
        return {"copies": copies, "extraction": extraction, "membership": member}

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON values."""
        return {
            "weights": self.weights_hash,
            "train": self.num_train,
            "held_out": self.num_held,
            "samples": len(self.generated),
            "failed": list(self.failed),
            "verdicts": self.sentences(),
            "copies": {name: _copies_json(each) for name, each in self.copies.items()},
            "extracted": [candidate.__dict__ for candidate in self.extracted],
            "duplicate_groups": [list(group) for group in self.duplicates.groups],
            "membership": {name: _curve_json(*pair) for name, pair in self.membership.items()},
            "canaries": None
            if self.canaries is None
            else [
                {"repeats": count, "told": told.value, "copied": out.value, "items": told.count}
                for count, told, out in self.canaries.rows()
            ],
            "notes": list(self.notes),
        }


def audit(
    model: Model,
    train: Dataset,
    held: Dataset,
    *,
    num: int = 1000,
    items: int = 500,
    statistics: Sequence[str] = tuple(STATISTICS),
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
        items: of each side, at most, in the test of membership.
        statistics: names among `STATISTICS`.
        level: false-alarm rate of the search for copies; 1 %, or the least that the held-out items allow, if absent.
        allow_overlap: leave out held-out items that are in the training set too, in place of refusing.
        seed: of samples and choices.
        progress: called as progress(what, done, total).

    Raises:
        UserError: items of another shape than the model's, sides that overlap, or too few items.
    """
    follow = progress or (lambda what, done, total: None)
    held, notes = _apart(model, train, held, allow_overlap)
    if len(held) < 4 or len(train) < 4:
        raise UserError(f"an audit needs at least 4 items on each side, got {len(train)} and {len(held)}")
    x, y = (each.fetch(np.arange(len(each)))[0] for each in (train, held))
    made = sample(model, num, seed=seed, force=True, progress=lambda i, n: follow("sampling", i, n)).cpu()
    if level is None:
        level = max(LEVEL, 1 / (len(held) + 1))
        if level > LEVEL:
            notes.append(f"{len(held)} held-out items state false-alarm rates down to {100 * level:.2g} % only")
    pictures = x.ndim == 4
    copies = {"pixels" if pictures else "values": find_copies(made, x, y, level=level, seed=seed)}
    if pictures and min(x.shape[2:]) >= 8:
        follow("comparing at every shift", 0, 1)
        copies["shifted"] = find_copies(made, x, y, level=level, seed=seed, search=shifted)
    first = next(iter(copies.values()))
    duplicates = find_duplicates(x)
    curves: dict[str, tuple[Curve, Curve]] = {}
    for name in statistics:
        follow(f"membership: {name}", len(curves), len(statistics))
        members, others = (_scores(model, data, name, items, seed) for data in (train, held))
        curves[name] = membership(name, members, others, seed=seed)
    return Audit(
        len(train),
        len(held),
        made,
        copies,
        extract(made, x, y, copies=first),
        duplicates,
        curves,
        _canaries(model, train, first, held, items, seed),
        tuple(notes),
        model.weights_hash,
    )


def _apart(model: Model, train: Dataset, held: Dataset, allow: bool) -> tuple[Dataset, list[str]]:
    for name, data in (("training", train), ("held-out", held)):
        if data.shape != train.shape or data.codec != train.codec:
            raise UserError(
                f"the {name} items have the shape {data.shape} and another scale or kind than the training items "
                f"({train.shape}): give both from one source"
            )
    both = np.isin(item_hashes(held.items), item_hashes(train.items))
    if not both.any():
        return held, []
    if not allow:
        raise UserError(
            f"{int(both.sum()):,} of {len(held):,} held-out items are in the training set too, so the model has seen "
            "them: give items that it has not, or leave these out with --allow-overlap"
        )
    return held.subset(np.flatnonzero(~both)), [
        f"{int(both.sum()):,} held-out items were in the training set: left out"
    ]


def _scores(model: Model, data: Dataset, name: str, items: int, seed: int) -> Tensor:
    """A statistic of items chosen at random, with each item's own conditions."""
    chosen = np.sort(order(len(data), subseed(seed, "items"), data.name)[:items].numpy())
    return _scored(model, data.subset(chosen), name)


def _scored(model: Model, data: Dataset, name: str) -> Tensor:
    x, labels = data.fetch(np.arange(len(data)))
    cond = {column.part.name: column.tensor(np.arange(len(data))) for column in data.columns}
    if labels is not None and model.card.label_names:
        cond["label"] = labels
    known = {part.name for part in model.card.schema}
    device = model.device
    return membership_scores(
        model.denoiser,
        x.to(device),
        statistic=name,
        sigma_data=model.card.process.sigma_data or 1.0,
        cond={key: value.to(device) for key, value in cond.items() if key in known},
    )


def _canaries(model: Model, train: Dataset, copies: Copies, held: Dataset, items: int, seed: int) -> Canaries | None:
    told = model.card.data.get("canaries")
    if not told:
        return None
    hashes = item_hashes(train.items)
    places = [np.flatnonzero(hashes == np.uint64(int(each["hash"], 16))) for each in told]
    there = [(each, place) for each, place in zip(told, places, strict=True) if len(place)]
    if not there:
        return None
    at = torch.tensor([int(place[0]) for _, place in there])
    scores = _scored(model, train.subset(at.numpy()), "loss")
    others = _scores(model, held, "loss", items, seed)
    near = copies.nearest[copies.flagged]
    copied = torch.tensor([int(np.isin(near.numpy(), place).sum()) for _, place in there])
    repeats = torch.tensor([int(each["repeats"]) for each, _ in there])
    return Canaries(repeats, scores, float(others.quantile(0.99)), copied)


def _copies_json(each: Copies) -> dict[str, Any]:
    return {
        "rate": each.rate.__dict__,
        "nearer_to_training": each.nearer.__dict__,
        "false_alarm_rate": each.level,
        "threshold": each.threshold,
        "flagged": each.flagged.tolist(),
        "nearest": each.nearest[each.flagged].tolist(),
        "p": each.p[each.flagged].tolist(),
        "seen_with_98_percent": each.seen,
    }


def _curve_json(curve: Curve, control: Curve) -> dict[str, Any]:
    return {
        "auc": curve.auc.__dict__,
        "found": {f"{rate:g}": value.__dict__ for rate, value in curve.found.items()},
        "control": control.auc.__dict__,
    }


__all__ = ["FINDINGS", "Audit", "audit"]
