"""A model of texts, evaluated: how new and how varied its texts are, how alike both look, and bits per character.

Texts are compared in two ways. Metrics of their own kind count runs of characters, words and compressed bytes. The
metrics of numbers look at how often each of the most frequent pairs of characters stands in a text, the pairs being
chosen on real texts; so nearest neighbours, the strangest texts and what the model misses are found as for pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..comparison.contestants import Contestant
from ..comparison.items import common_items
from ..data.arrays import Dataset, evenly
from ..data.open import open_dataset
from ..data.tokens import TokenCodec
from ..foundations.errors import UserError
from ..foundations.measured import Measured
from ..foundations.registry import Registry
from ..metrics.base import Better, Scored
from ..metrics.distances import nearest
from ..metrics.text import compression_scored, distinct, ngram_scored, novelty, valid_words, words_of
from ..score import Score
from ..tokens.score import token_scores
from ..tokens.yardsticks import Yardsticks, novel_and_plausible
from .features import Look, compared
from .looks import Found
from .numbers import Rows
from .result import Words

_PAIRS = 256  # of characters, the most frequent ones
_SHOWN = 12
_EVALUATIONS = 16
_CHARACTERS = 80  # of a text on the page
MOST = 5_000  # texts of each kind that are looked at


@dataclass(frozen=True, eq=False)
class Texts:
    """Real texts.

    Attributes:
        held: those that the model has not seen.
        labels: of the held ones, by name; None where there are none.
        train: those that it has; None where they are gone.
        data, trained: both as data sets.
        notes: a sentence each.
    """

    held: list[str]
    labels: list[str] | None
    train: list[str] | None
    data: Dataset
    trained: Dataset | None = None
    notes: tuple[str, ...] = ()


def real_texts(contestant: Contestant, against: str | Dataset | None) -> Texts:
    """The texts to judge by: those that the run held out, or those of a file without what was trained on.

    Raises:
        UserError: data that hold no texts, or none that the model has not seen.
    """
    try:
        own = common_items([contestant])
    except UserError:
        if against is None:
            raise
        own = None
    trained = None if own is None else own.train
    train = None if trained is None else _texts(trained)
    if against is None:
        assert own is not None
        held = evenly(own.held, MOST)
        return Texts(_texts(held), _labels(held), train, held, trained, own.notes)
    given = against if isinstance(against, Dataset) else open_dataset(against)
    if not isinstance(given.codec, TokenCodec):
        raise UserError(f"the model makes texts, and the data {given.name!r} hold {given.codec.kind} items")
    there = set(train or ())
    fresh = [i for i, text in enumerate(_texts(given)) if text not in there]
    notes = []
    if train is None:
        notes.append(f"What {contestant.name} was trained on is gone, so its texts cannot be left out.")
    if len(fresh) < len(given):
        notes.append(f"{len(given) - len(fresh):,} of {len(given):,} texts of {given.name} were trained on: left out.")
    if not fresh:
        raise UserError(f"all {len(given):,} texts of {given.name} are training texts of this model: give others")
    held = evenly(given.subset(np.array(fresh)), MOST)
    return Texts(_texts(held), _labels(held), train, held, trained, tuple(notes))


def rows_of(made: Sequence[str], texts: Texts) -> tuple[Rows, str]:
    """What the metrics of numbers compare, and in words what it is."""
    counts = Counter(pair for text in texts.held for pair in _runs(text))
    places = {pair: k for k, (pair, _) in enumerate(counts.most_common(_PAIRS))}
    words = f"how often each of the {len(places)} most frequent pairs of characters stands in a text"
    some = None if texts.train is None else texts.train[:: max(1, len(texts.train) // MOST)]
    x, y = _counted(made, places), _counted(texts.held, places)
    told, change = compared(Look("pairs", words, lambda rows: rows), y, x)
    return Rows(change(x), change(y), None if some is None else change(_counted(some, places))), told


def numbers(
    made: Sequence[str], texts: Texts, chosen: Sequence[str] | None, seed: int
) -> tuple[tuple[Scored, ...], dict[str, str]]:
    """The metrics of texts' own kind, all if None, and why some are missing."""
    found, refused = [], {}
    for name, work in TEXT_NUMBERS.items():
        if chosen is None or name in chosen:
            try:
                found.append(work(made, texts, seed))
            except UserError as error:
                refused[name] = str(error)
    return tuple(found), refused


def bits(contestant: Contestant, texts: Texts, items: int, seed: int, say: Any) -> tuple[tuple[Score, ...], str, Words]:
    """Bits per character of held-out texts, or why there are none, and the same beside general models of texts."""
    table = Words("Bits per character", ("model", "bits per character"), ())
    if not items:
        return (), "not asked for", table
    judged = evenly(texts.data, items)
    model = contestant.model
    label = "none" if model.card.label_names else None  # general models are not told either
    try:
        found = token_scores(
            model,
            judged,
            label=label,
            evaluations=_EVALUATIONS,
            seed=seed,
            progress=lambda done, total: say("bits", done, total),
        )
    except UserError as error:
        return (), str(error), table
    rows = {"this model (upper bound)": found[0].bits_per_dim}
    if texts.train is not None and isinstance(texts.data.codec, TokenCodec):
        sticks = Yardsticks.of(texts.train, texts.data.codec)
        rows |= sticks.table(_texts(judged), texts.train)
    told = tuple((name, round(value, 3)) for name, value in sorted(rows.items(), key=lambda row: row[1]))
    return tuple(found), "", replace(table, rows=told)


def looks(made: Sequence[str], labels: Sequence[str] | None, texts: Texts, rows: Rows) -> tuple[Words, ...]:
    """Texts to look at: the first, their nearest real ones, the strangest, and what the model misses."""
    found = Found.of(rows)
    first = range(min(_SHOWN, len(made)))
    chosen = torch.arange(len(first))
    known = None if texts.train is None else texts.train[:: max(1, len(texts.train) // MOST)]
    columns: list[tuple[str, list[str]]] = [("text", [made[i] for i in first])]
    if labels is not None:
        columns.insert(0, ("asked for", [labels[i] for i in first]))
    for name, real, there in (("held-out", texts.held, rows.real), ("training", known, rows.train)):
        if real is not None and there is not None:
            at = nearest(rows.made[chosen], there, 1)[1][:, 0].tolist()
            columns.append((f"nearest {name} text", [real[j] for j in at]))
    order = torch.argsort(found.realism)[:_SHOWN].tolist()
    gaps = found.regions(rows.real, _SHOWN)
    misses = tuple(
        (_short(texts.held[i]), _short(made[int(found.nearest_sample[i])]), f"{float(found.gap[i]):.1f}") for i in gaps
    )
    return (
        Words(
            "Nearest real texts",
            tuple(name for name, _ in columns),
            tuple(zip(*(map(_short, column) for _, column in columns), strict=True)),
        ),
        Words("The strangest texts by their pairs", ("text",), tuple((_short(made[i]),) for i in order)),
        Words("What the model misses", ("held-out text", "nearest made text", "times as far as real ones"), misses),
    )


def label_tensors(names: Sequence[str], texts: Texts) -> Tensor | None:
    """The class of each held-out text among a model's, -1 for none of them; None without labels."""
    if texts.labels is None:
        return None
    place = {name: k for k, name in enumerate(names)}
    return torch.tensor([place.get(label, -1) for label in texts.labels])


def _texts(data: Dataset) -> list[str]:
    assert isinstance(data.codec, TokenCodec)
    return data.codec.texts(np.asarray(data.items[np.arange(len(data))]))


def _labels(data: Dataset) -> list[str] | None:
    return None if data.labels is None else [data.label_names[k] for k in data.labels]


def _known(train: list[str] | None) -> list[str]:
    if train is None:
        raise UserError("it is asked of the training texts, and they are gone")
    return train


def _runs(text: str) -> list[str]:
    closed = f"\n{text}\n"
    return [closed[i : i + 2] for i in range(len(closed) - 1)]


def _counted(texts: Sequence[str], places: Mapping[str, int]) -> Tensor:
    counts: NDArray[np.float64] = np.zeros((len(texts), len(places)))
    for row, text in enumerate(texts):
        for pair in _runs(text):
            if pair in places:
                counts[row, places[pair]] += 1
    return torch.from_numpy(counts)


def _share(made: Measured, real: Measured, better: Better) -> Scored:
    how = "Wilson's, over generated texts"
    counts = (made.count or 0, real.count or 0)
    words = f"the share of {counts[1]:,} held-out texts stands for the halves"
    return Scored(
        made.name, made.value, made.low, made.high, *counts, None, better, real.value, how, (words,), share=True
    )


def _novel(made: Sequence[str], texts: Texts, seed: int) -> Scored:
    known = _known(texts.train)
    return _share(novelty(made, known), novelty(texts.held, known), "nearer")


def _distinct(made: Sequence[str], texts: Texts, seed: int) -> Scored:
    count = min(len(made), len(texts.held))
    return _share(distinct(made[:count]), distinct(texts.held[:count]), "nearer")


def _valid_words(made: Sequence[str], texts: Texts, seed: int) -> Scored:
    train = _known(texts.train)
    if len(words_of(train)) <= 2 * len(train):
        raise UserError("texts that are one word each have no words to look up: it is the share that is not new")
    return _share(valid_words(made, train), valid_words(texts.held, train), "higher")


def _plausible(made: Sequence[str], texts: Texts, seed: int) -> Scored:
    train = _known(texts.train)
    assert isinstance(texts.data.codec, TokenCodec)
    sticks = Yardsticks.of(train, texts.data.codec)
    real = novel_and_plausible(texts.held, texts.held, train, sticks)
    return _share(novel_and_plausible(made, texts.held, train, sticks), real, "higher")


TEXT_NUMBERS: Registry[Callable[[Sequence[str], Texts, int], Scored]] = Registry(
    "metric",
    {
        "novel_texts": _novel,
        "distinct_texts": _distinct,
        "valid_words": _valid_words,
        "novel_and_plausible": _plausible,
        "ngram_distance": lambda made, texts, seed: ngram_scored(made, texts.held, seed=seed),
        "compression_distance": lambda made, texts, seed: compression_scored(made, texts.held, seed=seed),
    },
)


def _short(text: str) -> str:
    told = text.replace("\n", "\\n")
    return told if len(told) <= _CHARACTERS else f"{told[: _CHARACTERS - 1]}…"
