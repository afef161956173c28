"""Token codecs: round trips, and what they refuse and where."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pellucid.data.codecs import codec_from_json
from pellucid.data.tokens import TokenCodec
from pellucid.data.vocabulary import learn
from pellucid.foundations.errors import UserError

TEXTS = ["Mary had a lamb,", "its fleece was white", "", "as snow; café."]


def codecs() -> dict[str, TokenCodec]:
    alphabet = tuple(sorted(set("".join(TEXTS))))
    return {
        "characters": TokenCodec("characters", 20, alphabet),
        "bytes": TokenCodec("bytes", 24),
        "pieces": TokenCodec("pieces", 24, (), learn(TEXTS * 3, most=300, exact=True)),
    }


@pytest.mark.parametrize("sort", ["characters", "bytes", "pieces"])
def test_texts_come_back_from_rows_tensors_and_json(sort):
    codec = codecs()[sort]
    rows = codec.rows(TEXTS)
    assert rows.shape == (4, codec.length)
    assert rows.max() < codec.num_symbols
    x = codec.encode(rows)
    assert x.dtype == torch.int64
    assert np.array_equal(codec.decode(x), rows)
    assert codec.texts(rows) == TEXTS
    again = codec_from_json(json.loads(json.dumps(codec.to_json())))
    assert again == codec


def test_symbols_are_numbered_from_one_and_zero_is_the_end():
    codec = TokenCodec("characters", 3, ("a", "b"))
    assert codec.rows(["ab", "b", "aba"]).tolist() == [[1, 2, 0], [2, 0, 0], [1, 2, 1]]
    assert codec.texts(np.array([[1, 0, 2], [0, 1, 1]])) == ["a", ""]  # what a model puts behind the end is not read
    assert codec.num_symbols == 3
    assert TokenCodec("bytes", 4).rows(["é"]).tolist() == [[0xC3 + 1, 0xA9 + 1, 0, 0]]


def test_pieces_of_texts_that_come_out_again_keep_case_and_blanks():
    assert codecs()["pieces"].texts(codecs()["pieces"].rows([" Its  LAMB "])) == [" Its  LAMB "]


def test_bytes_that_are_no_text_are_told_by_a_sign():
    assert TokenCodec("bytes", 2).texts(np.array([[0xC3 + 1, 0]])) == ["\ufffd"]


def test_refusals_tell_the_place():
    codec = codecs()["characters"]
    with pytest.raises(UserError, match=r"character 3 of 'Ma\?y' is '\?'"):
        codec.rows(["Ma?y"])
    with pytest.raises(UserError, match=r"text 2, 'as snow; as snow; as snow', has 25 characters.* 20"):
        codec.rows(["Mary", "as snow; as snow; as snow"])
    with pytest.raises(UserError, match="each character once"):
        TokenCodec("characters", 3, ("a", "a"))
    with pytest.raises(UserError, match="characters, bytes, pieces"):
        TokenCodec("words", 3)
