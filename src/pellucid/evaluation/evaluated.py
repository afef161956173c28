"""One model, evaluated: samples, features, every metric that applies, bits on held-out items, costs and pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..comparison.contestants import Contestant, bounds, kind_of
from ..comparison.items import Items, common_items
from ..data.arrays import Dataset, evenly
from ..data.codecs import Codec
from ..foundations.errors import UserError
from ..report import Shown
from ..score import Score
from .features import INCEPTION, Look, Sight, compared, look
from .kept import Shards
from .looks import Shows
from .numbers import NUMBERS, Judged, Rows, by_class, joined, measured
from .result import Evaluated
from .scale import same_scale
from .subject import Samples, samples, subject

FEWEST = 16
MOST_REAL = 10_000  # held-out items, and training items, that are looked at
_BOUND_DRAWS = 64
_SHARD = 256

Progress = Callable[[str, int, int], None]


def evaluated(
    given: Any,
    against: str | Dataset | None = None,
    num: int = 5000,
    *,
    features: str | nn.Module | None = None,
    weights: Path | None = None,
    metrics: Iterable[str] | None = None,
    items: int = 64,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Evaluated:
    """Evaluates a model by items that it has not seen.

    Args:
        given: a run folder, a checkpoint, a model folder, a name of the shelf, or a model in memory.
        against: the real items, what the model was trained on left out; those that its run held out if absent.
        num: samples, all classes in turn.
        features: what is compared: a name of `features.LOOKS` or a module; chosen by the data if absent.
        weights: a file for features that need one.
        metrics: names among `numbers.NUMBERS`; all that apply if absent.
        items: held-out items that bits are measured on; 0 for none.
        settings: of the sampler (solver, steps, guidance); the model's own if absent.
        seed: of samples and of everything chosen at random.
        folder: where samples and features are kept and pictures go; nothing is kept, and none are drawn, without one.
        progress: called with what is done, and how much of it.

    Raises:
        UserError: a model that makes no samples, data of other items or another scale, too few items, features that the
            data do not have or that are not finite, unknown names; each by name.
    """
    say = progress or (lambda what, done, total: None)
    chosen = None if metrics is None else list(metrics)
    _checked(num, items, chosen)
    contestant = subject(given)
    clock = Clock()
    real = common_items([contestant], against)
    codec = contestant.codec
    held = evenly(real.held, MOST_REAL)
    train = None if real.train is None else evenly(real.train, MOST_REAL)
    if len(held) < FEWEST:
        raise UserError(f"{held.name} has {len(held)} items to judge by; at least {FEWEST} are needed: give --against")
    same_scale(codec, held)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with clock.time("classifier" if features in (None, "classifier") else "choice of features"):
        way = look(features, Sight(held, real.train, num, seed, folder, weights))
    with clock.time("samples"):
        made = samples(
            contestant, num, asked=settings or {}, seed=seed, folder=folder, progress=lambda *n: say("samples", *n)
        )
    seen = Seen(codec, way, folder, made, held, train)
    with clock.time("features"):
        rows, words = seen.rows(say)
    with clock.time("metrics"):
        numbers, refused = measured(rows, chosen, seed=seed, progress=lambda *n: say("metrics", *n))
        more, classes, told = _by_labels(contestant, seen, rows, chosen, seed, real.train)
    with clock.time("bits"):
        likelihood, why = _bits(contestant, held, items, seed, say)
    shown: tuple[Shown, ...] = ()
    if folder is not None:
        with clock.time("pictures"):
            shown = seen.shows(rows, folder).all()
    return Evaluated(
        name=contestant.name,
        kind=kind_of(contestant.model),
        weights=contestant.model.weights_hash,
        settings=made.settings,
        data=_words(real, against),
        num=num,
        num_real=len(held),
        num_train=0 if train is None else len(train),
        features=words,
        numbers=(*more, *numbers),
        refused=refused,
        likelihood=likelihood,
        likelihood_refused=why,
        by_class=classes,
        cost={"calls": made.calls, "seconds": made.seconds},
        notes=(*real.notes, *way.notes, *told),
        pictures=shown,
        timings=clock.seconds,
        version=version("pellucid"),
    )


class Clock:
    """Seconds of each part, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Adds what passes inside to a name."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@dataclass(frozen=True, eq=False)
class Seen:
    """Both samples, and the way they are looked at.

    Attributes:
        codec: the model's, of items: real items are brought to its scale, not to their own.
        way: of looking.
        folder: for features that are costly.
        made: the samples.
        held, train: real items.
    """

    codec: Codec
    way: Look
    folder: Path | None
    made: Samples
    held: Dataset
    train: Dataset | None

    @property
    def made_x(self) -> Tensor:
        """The samples in the codec's scale."""
        return self.codec.encode(self.made.items.numpy())

    @property
    def real_x(self) -> Tensor:
        """The held-out items, likewise."""
        return self.encoded(self.held)

    def encoded(self, data: Dataset) -> Tensor:
        """Real items in the codec's scale."""
        return self.codec.encode(np.asarray(data.items[np.arange(len(data))]))

    def rows(self, say: Progress) -> tuple[Rows, str]:
        """What the metrics compare, and in words what it is."""
        made = self._features(self.made_x, self.made.settings, say)
        real, train = (
            None if data is None else self._features(self.encoded(data), {"data": data.fingerprint()}, say)
            for data in (self.held, self.train)
        )
        assert real is not None
        words, change = compared(self.way, real, made)
        known = None if train is None else change(train)
        return Rows(change(made), change(real), known, self.way.name == INCEPTION), words

    def _features(self, x: Tensor, of: Mapping[str, Any], say: Progress) -> Tensor:
        if not self.way.costly:
            return self.way.function(x)
        shards = Shards(self.folder, _SHARD, {"features": self.way.name, **self.way.facts, "items": of}, "features")
        found, _ = shards.rows(
            len(x),
            lambda ids: ({"rows": self.way.function(x[ids.start : ids.stop])}, {}),
            progress=lambda done, total: say("features", done, total),
        )
        return found["rows"]

    def shows(self, rows: Rows, folder: Path) -> Shows:
        """What is to be seen."""
        train = None if self.train is None else np.asarray(self.train.items[np.arange(len(self.train))])
        real = np.asarray(self.held.items[np.arange(len(self.held))])
        return Shows(self.made.items.numpy(), real, train, self.codec, rows, folder, "")


def _checked(num: int, items: int, chosen: list[str] | None) -> None:
    if num < FEWEST:
        raise UserError(f"an evaluation needs at least {FEWEST} samples, got {num}")
    if items < 0:
        raise UserError(f"bits are measured on 0 items or more, got {items}")
    for name in chosen or ():
        _ = NUMBERS[name]  # an unknown name is told before anything is made


def _by_labels(
    contestant: Contestant, seen: Seen, rows: Rows, chosen: list[str] | None, seed: int, train: Dataset | None
) -> tuple[tuple[Any, ...], dict[str, tuple[Any, ...]], tuple[str, ...]]:
    """What labels add: numbers, those of each class, and notes of what is missing."""
    names, held = contestant.label_names, seen.held
    if not names or seen.made.labels is None:
        return (), {}, ()
    if held.labels is None:
        return (), {}, (f"{held.name} has no labels, so nothing is told of each class.",)
    place = {name: k for k, name in enumerate(names)}
    truth = torch.tensor([place.get(name, -1) for name in held.label_names])[torch.from_numpy(held.labels)]
    missing = sorted(set(names) - set(held.label_names))
    notes = [f"{held.name} has no items labelled {', '.join(missing)}."] if missing else []
    classes, few = by_class(rows, seen.made.labels, truth, names, chosen, seed)
    notes += [f"Class {name}: {why}." for name, why in few.items()]
    more: tuple[Any, ...] = ()
    if seen.way.classifier is not None and train is not None and chosen is None:
        known = {name: k for k, name in enumerate(train.label_names)}
        asked, right = (
            torch.tensor([*(known.get(name, -1) for name in names), -1])[each] for each in (seen.made.labels, truth)
        )
        judged = Judged(seen.way.classifier, seen.made_x, seen.real_x, asked, right)
        more, agreed = judged.numbers(train.label_names, seed)
        classes = joined(agreed, classes)
    return more, classes, tuple(notes)


def _bits(contestant: Contestant, held: Dataset, items: int, seed: int, say: Progress) -> tuple[tuple[Score, ...], str]:
    if not items:
        return (), "not asked for"
    some = evenly(held, items)
    try:
        found = bounds(
            contestant.model, some, k=_BOUND_DRAWS, seed=seed, progress=lambda done, total: say("bits", done, total)
        )
    except UserError as error:
        return (), str(error)
    return tuple(found), ""


def _words(real: Items, against: str | Dataset | None) -> str:
    count = f"{len(real.held):,} items of {real.held.name}"
    return f"{count} that were held out" if against is None else f"{count} that were not trained on"
