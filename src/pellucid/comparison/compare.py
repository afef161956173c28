"""Models of any kind side by side: bounds, samples and costs, on the same held-out items."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.arrays import Dataset, evenly
from ..foundations.durable import finite
from ..foundations.errors import UserError
from ..likelihood import bits_per_dim
from ..score import Score
from .contestants import Contestant, Drawn, bounds, draw
from .items import common_items
from .order import Check, checks, difference, in_order, quantity, tightest
from .quality import Judge, Quality

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Entry:
    """What was found of one model.

    Attributes:
        contestant: which.
        scores: bits/dim by every method of its kind.
        drawn: its samples; None where it has none.
        quality: of them; None likewise.
        notes: why something is missing, a sentence each.
    """

    contestant: Contestant
    scores: tuple[Score, ...]
    drawn: Drawn | None
    quality: Quality | None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The model's."""
        return self.contestant.name


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models side by side.

    Attributes:
        entries: a model each, in the order given.
        checks: orders that theory proves.
        judge: what samples were judged by.
        data: name of the data.
        items: held-out items that bounds were taken over.
        real: held-out items that samples were held against.
        excluded: items that were left out, for some model was trained on them.
        labelled: whether items were judged given their labels, where a model knows labels.
        seconds: in all.
        notes: what a reader should know, a sentence each.
    """

    entries: tuple[Entry, ...]
    checks: tuple[Check, ...]
    judge: Judge
    data: str
    items: int
    real: int
    excluded: int
    labelled: bool
    seconds: float
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every proven order was found."""
        return all(check.passed for check in self.checks)

    @property
    def num_values(self) -> int:
        """Numbers in an item."""
        return math.prod(self.entries[0].contestant.codec.shape)

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values, without the samples."""
        told: dict[str, Any] = {
            "data": self.data,
            "items": self.items,
            "real_items": self.real,
            "excluded": self.excluded,
            "features": self.judge.words,
            "classifier_accuracy": None if self.judge.accuracy is None else self.judge.accuracy.value,
            "models": [_entry_json(entry, self) for entry in self.entries],
            "checks": [{"text": check.text, "passed": check.passed} for check in self.checks],
            "notes": list(self.notes),
            "seconds": self.seconds,
        }
        found: dict[str, Any] = finite(told)
        return found


def compare(
    runs: Sequence[str | Path],
    *,
    data: str | Dataset | None = None,
    items: int = 200,
    samples: int = 500,
    k: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Compares trained models of any kind on the same held-out items.

    Each is judged by every bound on log p that its kind has, in bits for each value; by its samples, made at its own
    settings and held against held-out items; and by what training and sampling cost.

    Args:
        runs: run folders, checkpoints, model folders or names of the shelf.
        data: items to judge on, what any of the models was trained on left out; the models' own held-out items, which
            must be the same for all, if absent.
        items: how many of them the bounds are taken over, at equal steps.
        samples: of each model.
        k: draws of the importance-weighted bound.
        seed: of everything random.
        progress: called with what is done, and how much of it.

    Raises:
        UserError: no runs, models of different items, held-out items that differ, or numbers out of range.
    """
    if not runs:
        raise UserError("name at least one run, as in: pellucid compare runs/vae runs/digits")
    for word, value, least in (("items", items, 2), ("samples", samples, 16), ("k", k, 1)):
        if value < least:
            raise UserError(f"{word} must be at least {least}, got {value}")
    started = time.perf_counter()
    say = progress or (lambda what, done, total: None)
    contestants = _read(runs)
    common = common_items(contestants, data)
    judged = evenly(common.held, items)
    say("features and classifier", 0, 1)
    judge = Judge.of(common.held, common.train, samples, seed=seed)
    entries = tuple(_entry(each, judged, judge, samples, k, seed, say) for each in contestants)
    size = math.prod(contestants[0].codec.shape)
    labelled = judged.labels is not None and any(each.label_names for each in contestants)
    return Comparison(
        entries=entries,
        checks=tuple(check for entry in entries for check in checks(entry.name, entry.scores, size)),
        judge=judge,
        data=common.held.name,
        items=len(judged),
        real=len(common.held),
        excluded=common.excluded,
        labelled=labelled,
        seconds=time.perf_counter() - started,
        notes=(*common.notes, *_on_labels(contestants, labelled, size), *_on_laws(entries, size)),
    )


def _read(runs: Sequence[str | Path]) -> list[Contestant]:
    if len({str(run) for run in runs}) < len(runs):
        raise UserError("a run is named twice: name each once")
    # The last part of a path is name enough, where it is only one run's.
    short = [Path(run).name for run in runs]
    return [
        Contestant.read(run, name if name and short.count(name) == 1 else str(run))
        for run, name in zip(runs, short, strict=True)
    ]


def _entry(
    contestant: Contestant, data: Dataset, judge: Judge, samples: int, k: int, seed: int, say: Progress
) -> Entry:
    name = contestant.name

    def bounding(done: int, total: int) -> None:
        say(f"{name}: bounds", done, total)

    found = in_order(bounds(contestant.model, data, k=k, seed=seed, progress=bounding))
    say(f"{name}: samples", 0, 1)
    try:
        drawn = draw(contestant.model, samples, seed=seed)
    except UserError as error:
        return Entry(contestant, tuple(found), None, None, (f"{name}: {error}.",))
    say(f"{name}: metrics", 0, 1)
    return Entry(contestant, tuple(found), drawn, judge.judge(contestant, drawn, seed=seed))


def _on_labels(contestants: Sequence[Contestant], labelled: bool, size: int) -> list[str]:
    """What must be known where some models are told an item's label and others are not."""
    told = [each for each in contestants if labelled and each.label_names]
    if not told or len(told) == len(contestants):
        return []
    most = bits_per_dim(math.log(max(len(each.label_names) for each in told)), size)
    return [
        f"{' and '.join(each.name for each in told)} judged each item given its label, the others without: a bound on "
        f"log p(x given label) becomes one on log p(x) by adding at most {most:.4f} bits/dim."
    ]


def _on_laws(entries: Sequence[Entry], size: int) -> list[str]:
    """How the bound on one sampler's law lies to the estimate of another's."""
    told = []
    for entry in entries:
        known = {score.method: score for score in entry.scores}
        if {"variational bound", "probability-flow ODE"} <= set(known):
            gap, error = difference(known["variational bound"], known["probability-flow ODE"], size)
            told.append(
                f"{entry.name}: the VLB lies {abs(gap):.4f} ± {1.96 * error:.4f} bits/dim "
                f"{'above' if gap >= 0 else 'below'} the ODE's estimate, item by item. It bounds the law of another "
                "sampler, so no theorem orders the two; one would expect it above."
            )
    return told


def _entry_json(entry: Entry, comparison: Comparison) -> dict[str, Any]:
    each, best = entry.contestant, tightest_of_all(comparison.entries)
    training = each.training
    told: dict[str, Any] = {
        "name": each.name,
        "kind": each.kind,
        "weights": each.model.weights_hash,
        "given_label": comparison.labelled and bool(each.label_names),
        "parameters": each.parameters,
        "training": None if training is None else {"items": training[0], "seconds": training[1]},
        "scores": [
            {**score.to_json(), "bound": quantity(score.method).bound, "says": quantity(score.method).says}
            for score in entry.scores
        ],
        "notes": list(entry.notes),
    }
    gap, error = difference(tightest(entry.scores), tightest(best.scores), comparison.num_values)
    told["behind"] = {"of": best.name, "bits_per_dim": gap, "standard_error": error}
    if entry.drawn is not None and entry.quality is not None:
        count = len(entry.drawn.samples)
        told["sampling"] = {
            "samples": count,
            "seconds": entry.drawn.seconds / count,
            "calls": entry.drawn.calls,
        }
        told["quality"] = {name: scored.to_json() for name, scored in entry.quality.metrics.items()}
        agreement = entry.quality.agreement
        told["label_agreement"] = None if agreement is None else vars(agreement)
    return told


def tightest_of_all(entries: Sequence[Entry]) -> Entry:
    """The model with the least upper bound on -log p."""
    return min(entries, key=lambda entry: tightest(entry.scores).nats)
