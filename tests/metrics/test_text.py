"""Metrics of texts against counts by hand and what they must give on samples of one law."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.foundations.errors import UserError
from pellucid.metrics.text import (
    compressed_bits,
    compression_distance,
    distinct,
    ngram_distance,
    novelty,
    plausible,
    valid_words,
)


def words(num: int, letters: str, seed: int) -> list[str]:
    random = np.random.RandomState(seed)
    return ["".join(random.choice(list(letters), random.randint(3, 9))) for _ in range(num)]


def test_shares_are_counts():
    assert novelty(["a", "b", "c", "c"], ["b"]).value == 0.75
    assert distinct(["a", "b", "c", "c"]).value == 0.75
    found = valid_words(["And God's word, and light", "darknesss"], ["AND light", "God's"])
    assert (found.value, found.count) == (4 / 6, 6)  # all but "word" and "darknesss"


def test_plausible_passes_the_share_of_real_texts_that_was_asked_for():
    real = np.random.RandomState(0).normal(size=4000)
    fresh = np.random.RandomState(1).normal(size=4000)
    found = plausible(fresh, real, share=0.9)
    assert found.low < 0.9 < found.high
    assert plausible(real + 10, real).value == 0


def test_distances_of_one_law_are_at_their_floor_and_those_of_two_above():
    real, same, other = words(3000, "abcd", 0), words(1000, "abcd", 1), words(1000, "abbbcd", 2)
    for distance in (ngram_distance, compression_distance):
        fresh, floor = distance(same, real), float(distance(same, real).note.split()[0])
        assert fresh.low <= floor <= fresh.high
        assert distance(other, real).low > floor


def test_ngram_distance_by_hand():
    """Ten times "ab" against ten times "ac": runs of two \\na ab b\\n against \\na ac c\\n share one in three."""
    assert ngram_distance(["ab"] * 10, ["ac"] * 20, n=2).value == pytest.approx(2 / 3)


def test_compressors_know_what_they_have_seen():
    fresh = words(500, "abcdefgh", 3)
    alone, seen = compressed_bits(fresh), compressed_bits(fresh, known=fresh)
    assert seen["lzma"] < 0.1 * alone["lzma"]
    # 8 equally likely letters have 3 bits each, and no compressor can say it in less.
    assert min(alone.values()) > 3


def test_refusals():
    with pytest.raises(UserError, match="no texts"):
        novelty([], ["a"])
    with pytest.raises(UserError, match="at least 10"):
        ngram_distance(["a"], ["b"] * 20)
