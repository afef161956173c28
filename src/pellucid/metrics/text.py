r"""Generated texts beside real ones: how many are new, how many of their words exist, and how alike both look.

The *n-gram distance* is the total variation between the frequencies of runs of n characters in two samples,

    1/2 sum over g of |f(g) - f'(g)|:                                                                               (1)

the share of the runs that one would have to exchange. The *compression distance* of two samples x and y is

    (C(xy) - min(C(x), C(y))) / max(C(x), C(y)),   C the size after compression                                     (2)

(Li et al., "The Similarity Metric", 2004, section VI): about 1 where one helps nothing to describe the other. Both are
above zero for samples of one law too, and less so the larger the samples are: read them beside their floor, which is
the same number between two samples of real texts of the same size.
"""

from __future__ import annotations

import lzma
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ..foundations.errors import UserError
from ..foundations.measured import Measured, proportion
from ..foundations.rng import subseed
from .base import Scored, normal_interval, student

_BLOCKS = 10
_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")

Texts = Sequence[str]
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 26}]


def novelty(generated: Texts, known: Texts) -> Measured:
    """The share of generated texts that are none of the known ones, with Wilson's interval."""
    _some(generated)
    there = set(known)
    return proportion("novel_texts", sum(text not in there for text in generated), len(generated))


def distinct(generated: Texts) -> Measured:
    """The share of different texts among the generated ones, with Wilson's interval."""
    _some(generated)
    return proportion("distinct_texts", len(set(generated)), len(generated))


def valid_words(generated: Texts, known: Texts) -> Measured:
    """The share of words in generated texts, each occurrence counted, that occur in the known ones in any case.

    The interval is Wilson's for words that are independent of one another, as those of one text hardly are.

    >>> round(valid_words(["The cot sat"], ["the cat sat"]).value, 3)
    0.667
    """
    there = set(words_of(known))
    words = words_of(generated)
    return proportion("valid_words", sum(word in there for word in words), max(1, len(words)))


def words_of(texts: Texts) -> list[str]:
    """The words of texts, in small letters."""
    return [word.lower() for text in texts for word in _WORD.findall(text)]


def plausible(generated: Sequence[float], real: Sequence[float], *, share: float = 0.99) -> Measured:
    """The share of generated texts that a yardstick finds no stranger than it finds `share` of the real ones.

    Args:
        generated, real: bits per character of each text under one model that has seen neither.
        share: of the real texts that pass.
    """
    limit = float(np.quantile(np.asarray(real), share))
    passed = int((np.asarray(generated) <= limit).sum())
    return proportion("plausible_texts", passed, len(generated), note=f"{100 * share:g} % of the real ones are")


def ngram_distance(generated: Texts, real: Texts, n: int = 3, *, seed: int = 0) -> Measured:
    """Equation (1), texts closed by an end that counts as a character; the floor stands in the note.

    The interval is the jackknife's over ten blocks of the generated texts, given the real ones.

    Raises:
        UserError: fewer than ten texts in either sample, or n below 1.
    """
    return _told(ngram_scored(generated, real, n, seed=seed), f"{n}-gram distance")


def ngram_scored(generated: Texts, real: Texts, n: int = 3, *, seed: int = 0) -> Scored:
    """`ngram_distance` with its floor as a number."""
    name = "ngram_distance"
    return _beside(name, generated, real, lambda a, b: _variation(a, b, n), seed, f"the {n}-gram distance")


def compression_distance(generated: Texts, real: Texts, *, seed: int = 0) -> Measured:
    """Equation (2) with LZMA on texts that are parted by line ends; floor and interval as of `ngram_distance`.

    Raises:
        UserError: fewer than ten texts in either sample.
    """
    return _told(compression_scored(generated, real, seed=seed), "Compression distance")


def compression_scored(generated: Texts, real: Texts, *, seed: int = 0) -> Scored:
    """`compression_distance` with its floor as a number."""
    return _beside("compression_distance", generated, real, _compression, seed, "the compression distance")


def compressed_bits(texts: Texts, *, known: Texts = ()) -> dict[str, float]:
    """Bits per character of texts under general compressors, their ends paid for, by name.

    Args:
        texts: what is compressed, each followed by a line end.
        known: texts that the compressor has seen before: what is told is what they make the file grow by.
    """
    characters = max(1, sum(map(len, texts)))
    before, whole = _joined(known), _joined([*known, *texts])
    sizes = {"zlib": lambda data: len(zlib.compress(data, 9)), "lzma": _lzma}
    return {name: 8 * (size(whole) - (size(before) if before else 0)) / characters for name, size in sizes.items()}


def _beside(
    name: str, generated: Texts, real: Texts, distance: Callable[[Texts, Texts], float], seed: int, words: str
) -> Scored:
    """A distance of two samples of equal size, its jackknife over blocks, and its floor."""
    if min(len(generated), len(real)) < _BLOCKS:
        raise UserError(f"{words} needs at least {_BLOCKS} texts of each kind, got {len(generated)} and {len(real)}")
    random = np.random.RandomState(subseed(seed, name) % 2**32)
    size = min(len(generated), len(real) // 2)
    first = [generated[i] for i in random.permutation(len(generated))[:size]]
    order = random.permutation(len(real))
    one, other = ([real[i] for i in part] for part in (order[:size], order[size : 2 * size]))
    value = distance(first, one)
    left_out = [
        distance([text for i, text in enumerate(first) if i % _BLOCKS != block], one) for block in range(_BLOCKS)
    ]
    error = math.sqrt((_BLOCKS - 1) / _BLOCKS * sum((each - np.mean(left_out)) ** 2 for each in left_out))
    low, high = normal_interval(value, student(error, _BLOCKS - 1))
    floor, how = distance(one, other), "jackknife over blocks of generated texts, given the real ones"
    return Scored(name, value, max(0.0, low), high, size, size, None, "lower", floor, how)


def _told(scored: Scored, label: str) -> Measured:
    note = f"{scored.floor:.4g} between as many real texts"
    return Measured(scored.name, scored.value, scored.low, scored.high, scored.num_generated, note=note, label=label)


def _variation(a: Texts, b: Texts, n: int) -> float:
    if n < 1:
        raise UserError(f"a run has at least 1 character, got n={n}")
    first, second = (Counter(_runs(texts, n)) for texts in (a, b))
    total, other = max(1, first.total()), max(1, second.total())
    return 0.5 * sum(abs(first[run] / total - second[run] / other) for run in first.keys() | second.keys())


def _runs(texts: Texts, n: int) -> list[str]:
    closed = [f"\n{text}\n" for text in texts]
    return [text[i : i + n] for text in closed for i in range(len(text) - n + 1)]


def _compression(a: Texts, b: Texts) -> float:
    x, y = _joined(a), _joined(b)
    alone = sorted((_lzma(x), _lzma(y)))
    return (_lzma(x + y) - alone[0]) / alone[1]


def _lzma(data: bytes) -> int:
    return len(lzma.compress(data, format=lzma.FORMAT_RAW, filters=_FILTERS))


def _joined(texts: Texts) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def _some(texts: Texts) -> None:
    if not texts:
        raise UserError("there are no texts to judge")
