"""A model of a table, evaluated: its columns, its pairs, what trees can tell, use, nearness to training rows, and bits.

The measures of tables are those of `tables.measure`. Beside them the metrics of numbers see rows as points, between
which distances are sums over columns (`metrics.table_rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..comparison.contestants import Contestant, kind_of
from ..comparison.items import common_items
from ..data.arrays import Dataset, evenly
from ..data.table_codec import TableCodec
from ..data.tables import open_rows
from ..foundations.errors import UserError
from ..metrics.base import Scored
from ..metrics.table_rows import points
from ..report import Shown
from ..tables import page
from ..tables.measure import measure
from ..tables.measures import Measures
from .looks import Found
from .numbers import NUMBERS, Rows, measured
from .of_items import likelihood_of, words_of_data
from .request import FEWEST, MOST_REAL, Clock, Request
from .result import Evaluated, Words
from .subject import samples

_SHOWN = 12
_OWN: Mapping[str, Callable[[Measures], Scored | None]] = {
    "column_distance": lambda found: found.column_distance,
    "association_difference": lambda found: found.pairs.difference if found.pairs else None,
    "table_c2st": lambda found: found.c2st,
    "table_c2st_held_out": lambda found: found.c2st_held,
    "nearer_to_training": lambda found: found.privacy.nearer if found.privacy else None,
    "utility_on_made": lambda found: found.utility.on_made if found.utility else None,
    "utility_on_real": lambda found: found.utility.on_real if found.utility else None,
}


def of_tables(contestant: Contestant, request: Request) -> Evaluated:
    """Evaluates a model of a table; arguments and errors are those of `evaluated.evaluate`.

    Raises:
        UserError: also features that rows do not have.
        MissingExtra: scikit-learn is not installed.
    """
    request.check({**NUMBERS, **_OWN})
    if request.features is not None or request.weights is not None:
        raise UserError("rows of a table are compared column by column: leave out --features and --weights")
    clock, seed = Clock(), request.seed
    codec = contestant.codec
    assert isinstance(codec, TableCodec)
    given = request.against
    against = open_rows(given, codec) if isinstance(given, str) and Path(given).is_file() else given
    real = common_items([contestant], against)
    held = evenly(real.held, MOST_REAL)
    if len(held) < FEWEST:
        raise UserError(f"{held.name} has {len(held)} rows to judge by; at least {FEWEST} are needed: give --against")
    with clock.time("samples"):
        made = samples(
            contestant,
            request.num,
            asked=request.settings,
            seed=seed,
            folder=request.folder,
            progress=lambda *n: request.say("samples", *n),
        )
    packed = made.items.numpy()
    train = None if real.train is None else evenly(real.train, MOST_REAL)
    rows = Rows(
        _points(codec, packed), _points(codec, _packed(held)), None if train is None else _points(codec, _packed(train))
    )
    with clock.time("metrics"):
        names = None if request.metrics is None else [name for name in request.metrics if name not in _OWN]
        numbers, refused = measured(rows, names, seed=seed, progress=lambda *n: request.say("metrics", *n))
    measures = None
    if train is None:
        refused["measures of tables"] = "they compare made rows with training rows, and these are gone"
    elif request.metrics is None or set(request.metrics) & set(_OWN):
        with clock.time("measures of tables"):
            measures = measure(_packed(train), _packed(held), packed, codec, seed=seed)
    with clock.time("bits"):
        likelihood, why = likelihood_of(contestant, held, request)
    own = () if measures is None else tuple(_own(measures, request.metrics))
    shown: tuple[Shown, ...] = ()
    picture = None if measures is None or request.folder is None else page.picture(measures)
    if picture is not None and request.folder is not None:
        (request.folder / "pairs.png").write_bytes(picture)
        caption = (
            "How columns go together in pairs, among real rows (left) and made ones; and how near rows lie to training "
            "rows, which made rows should not be any more than held-out ones."
        )
        title = "Pairs, and distances to training rows"
        shown = (Shown("pairs.png", title, f"{title} of real and of made rows", caption),)
    return Evaluated(
        name=contestant.name,
        kind=kind_of(contestant.model),
        weights=contestant.model.weights_hash,
        settings=made.settings,
        data=words_of_data(real, request),
        num=request.num,
        num_real=len(held),
        num_train=0 if train is None else len(train),
        features="rows as points, distances between which are sums over columns",
        numbers=(*own, *numbers),
        refused={**refused, **({} if measures is None else measures.refused)},
        likelihood=likelihood,
        likelihood_refused=why,
        cost={"calls": made.calls, "seconds": made.seconds},
        notes=(*real.notes, *(() if measures is None else (v.text for v in page.verdicts(measures)))),
        pictures=shown,
        words=_looks(codec, packed, held, rows),
        table=None if measures is None else measures.to_json(),
        timings=clock.seconds,
        version=version("pellucid"),
    )


def _packed(data: Dataset) -> np.ndarray:
    return np.asarray(data.items[np.arange(len(data))], np.float32)


def _points(codec: TableCodec, packed: np.ndarray) -> Tensor:
    return torch.from_numpy(points(codec.unpack(packed), codec.fields))


def _own(measures: Measures, asked: tuple[str, ...] | None) -> Iterator[Scored]:
    for name, part in _OWN.items():
        found = part(measures)
        if found is not None and (asked is None or name in asked):
            yield replace(found, name=name)


def _looks(codec: TableCodec, packed: np.ndarray, held: Dataset, rows: Rows) -> tuple[Words, ...]:
    """The strangest rows, and held-out rows that no made row is near to, with the nearest one."""
    found = Found.of(rows)
    head = tuple(field.name for field in codec.fields)
    strange = torch.argsort(found.realism)[:_SHOWN].numpy()
    gaps = found.regions(rows.real, _SHOWN // 2)
    real = codec.rows(_packed(held)[gaps])
    near = codec.rows(packed[[int(found.nearest_sample[i]) for i in gaps]])
    pairs: list[tuple[str, ...]] = []
    for place, missed, made in zip(gaps, real, near, strict=True):
        pairs += [("held out", *missed, ""), ("nearest made", *made, f"{float(found.gap[place]):.1f}")]
    return (
        Words("The strangest rows", head, tuple(map(tuple, codec.rows(packed[strange])))),
        Words("What the model misses", ("", *head, "times as far as real rows"), tuple(pairs)),
    )
