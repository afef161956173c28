"""A model of numbers, evaluated: pictures, points or signals, whatever kind of model makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..comparison.contestants import Contestant, bounds, kind_of
from ..comparison.items import Items, common_items
from ..data.arrays import Dataset, evenly
from ..data.codecs import Codec
from ..foundations.errors import UserError
from ..metrics.base import Scored
from ..report import Shown
from ..score import Score
from .features import INCEPTION, Look, Sight, compared, look
from .kept import Shards
from .looks import Shows
from .numbers import NUMBERS, Judged, Rows, by_class, joined, measured
from .request import FEWEST, MOST_REAL, Clock, Request, Say
from .result import Evaluated
from .scale import same_scale
from .signal_numbers import KINDS, SIGNAL_NUMBERS, signal_numbers
from .subject import Classes, Samples, samples

_BOUND_DRAWS = 64
_SHARD = 256


def of_items(contestant: Contestant, request: Request) -> Evaluated:
    """Evaluates a model of numbers; arguments and errors are those of `evaluated.evaluate`."""
    own_kind = SIGNAL_NUMBERS if contestant.codec.kind in KINDS else {}
    request.check({**NUMBERS, **own_kind})
    clock, codec, seed, folder = Clock(), contestant.codec, request.seed, request.folder
    real = common_items([contestant], request.against)
    held = evenly(real.held, MOST_REAL)
    train = None if real.train is None else evenly(real.train, MOST_REAL)
    if len(held) < FEWEST:
        raise UserError(f"{held.name} has {len(held)} items to judge by; at least {FEWEST} are needed: give --against")
    same_scale(codec, held)
    with clock.time("classifier" if request.features in (None, "classifier") else "choice of features"):
        way = look(request.features, Sight(held, real.train, request.num, seed, folder, request.weights))
    with clock.time("samples"):
        made = samples(
            contestant,
            request.num,
            asked=request.settings,
            classes=Classes.of(real.train, contestant.label_names),
            seed=seed,
            folder=folder,
            progress=lambda *n: request.say("samples", *n),
        )
    seen = Seen(codec, way, folder, made, held, train)
    with clock.time("features"):
        rows, words = seen.rows(request.say)
    with clock.time("metrics"):
        general = None if request.metrics is None else [name for name in request.metrics if name not in own_kind]
        numbers, refused = measured(rows, general, seed=seed, progress=lambda *n: request.say("metrics", *n))
        if own_kind:
            own, why_not = signal_numbers(seen.made_x, seen.real_x, request.metrics, seed)
            numbers, refused = (*own, *numbers), refused | why_not
        more, classes, told = _by_labels(contestant, seen, rows, request, real.train)
    with clock.time("bits"):
        likelihood, why = likelihood_of(contestant, held, request)
    shown: tuple[Shown, ...] = ()
    if folder is not None:
        with clock.time("pictures"):
            shown = seen.shows(rows, folder).all()
    return Evaluated(
        name=contestant.name,
        kind=kind_of(contestant.model),
        weights=contestant.model.weights_hash,
        settings=made.settings,
        data=words_of_data(real, request),
        num=request.num,
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

    def rows(self, say: Say) -> tuple[Rows, str]:
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

    def _features(self, x: Tensor, of: Mapping[str, Any], say: Say) -> Tensor:
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


def _by_labels(
    contestant: Contestant, seen: Seen, rows: Rows, request: Request, train: Dataset | None
) -> tuple[tuple[Scored, ...], dict[str, tuple[Scored, ...]], tuple[str, ...]]:
    """What labels add: numbers, those of each class, and notes of what is missing."""
    names, held, chosen, seed = contestant.label_names, seen.held, request.metrics, request.seed
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
    more: tuple[Scored, ...] = ()
    if seen.way.classifier is not None and train is not None and chosen is None:
        known = {name: k for k, name in enumerate(train.label_names)}
        asked, right = (
            torch.tensor([*(known.get(name, -1) for name in names), -1])[each] for each in (seen.made.labels, truth)
        )
        judged = Judged(seen.way.classifier, seen.made_x, seen.real_x, asked, right)
        more, agreed = judged.numbers(train.label_names, seed)
        classes = joined(agreed, classes)
    return more, classes, tuple(notes)


def likelihood_of(contestant: Contestant, held: Dataset, request: Request) -> tuple[tuple[Score, ...], str]:
    """Bits of some held-out items by every method of the model's kind, or why there are none."""
    if not request.items:
        return (), "not asked for"
    some = evenly(held, request.items)
    try:
        found = bounds(
            contestant.model,
            some,
            k=_BOUND_DRAWS,
            seed=request.seed,
            progress=lambda done, total: request.say("bits", done, total),
        )
    except UserError as error:
        return (), str(error)
    return tuple(found), ""


def words_of_data(real: Items, request: Request) -> str:
    """What the real items are."""
    count = f"{len(real.held):,} items of {real.held.name}"
    return f"{count} that were held out" if request.against is None else f"{count} that were not trained on"
