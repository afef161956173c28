"""Vocabularies: the same for the same captions, in any order; every text has pieces, and these say all of it."""

from __future__ import annotations

import builtins
import random
from typing import Any

import pytest

from pellucid.data import vocabulary
from pellucid.foundations.errors import MissingExtra

CAPTIONS = [f"{colour} {shape}" for colour in ("red", "green", "dark blue") for shape in ("heart", "square", "cat")] * 3


def test_it_depends_on_the_captions_alone() -> None:
    first = vocabulary.learn(CAPTIONS)
    for seed in range(5):
        shuffled = list(CAPTIONS)
        random.Random(seed).shuffle(shuffled)
        assert vocabulary.learn(shuffled) == first


def test_words_that_recur_are_one_piece_and_others_are_bytes() -> None:
    words = vocabulary.learn(CAPTIONS)
    assert [len(row) for row in vocabulary.pieces(words, ["red heart", "dark blue cat"])] == [2, 3]
    strange = "Ünkn\U0001f600wn"
    # what is no letter of the captions has a piece for each byte of UTF-8, and one for the blank before it
    assert len(vocabulary.pieces(words, [strange])[0]) <= len(strange.lower().encode()) + 1
    assert vocabulary.texts(words, vocabulary.pieces(words, [strange]))[0].strip() == strange.lower()


def test_pieces_are_numbered_from_one_and_counted_with_zero() -> None:
    words = vocabulary.learn(CAPTIONS, most=270)
    assert vocabulary.size(words) == 271
    seen = [piece for row in vocabulary.pieces(words, [*CAPTIONS, "\x00\x7f zq"]) for piece in row]
    assert min(seen) >= 1
    assert max(seen) < 271
    assert vocabulary.pieces(words, [""]) == [[]]


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "tokenizers":
            raise ImportError
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"needs the package 'tokenizers': pip install 'pellucid\[text\]'"):
        vocabulary.learn(CAPTIONS)
