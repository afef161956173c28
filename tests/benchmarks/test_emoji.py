"""What the emoji benchmark asks, on a small set of captions."""

from __future__ import annotations

import numpy as np

from pellucid.data.arrays import Dataset
from pellucid.data.codecs import ImageCodec
from pellucid.data.columns import text_column


def captioned() -> Dataset:
    """60 pictures of 20 concepts, three of each."""
    items = np.random.default_rng(0).integers(0, 256, (60, 1, 4, 4), np.uint8)
    words = [f"concept {i % 20} tone {i // 20}" for i in range(60)]
    groups = np.arange(60) % 20
    codec = ImageCodec(1, 4, 4)
    return Dataset(items, None, (), codec, "captioned", groups=groups, columns=(text_column("caption", words),))


def test_one_picture_of_each_concept_is_asked(scripts) -> None:
    side = captioned()
    chosen = scripts.emoji.one_of_each(side, 100)
    assert sorted(side.groups[chosen]) == list(range(20))
    assert len(set(side.columns[0].words[chosen])) == 20
    assert len({word.split()[-1] for word in side.columns[0].words[chosen]}) == 3  # any of its pictures, not the first
    np.testing.assert_array_equal(chosen, scripts.emoji.one_of_each(side, 100))
    assert set(scripts.emoji.one_of_each(side, 7)) <= set(chosen)


def test_captions_of_the_same_concept_are_no_wrong_answers(scripts) -> None:
    side = captioned()
    for item in (0, 31, 59):
        asked = scripts.emoji.others(side, item, scripts.emoji.captions(side), np.random.default_rng(item))
        assert asked[0] == side.columns[0].words[item]
        assert len(set(asked)) == scripts.emoji.CHOICES
        assert not any(word.startswith(f"concept {item % 20} ") for word in asked[1:])
