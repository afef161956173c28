"""Canaries and halves: functions of the items' bytes, and nothing else in the data set moves."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pellucid.data.arrays import Dataset, item_hashes, sides
from pellucid.data.builtin import BUILTIN
from pellucid.data.canaries import marked, plant
from pellucid.data.codecs import ImageCodec, PointsCodec, SignalCodec
from pellucid.data.halves import inclusions
from pellucid.data.table_codec import TableCodec
from pellucid.data.tokens import TokenCodec
from pellucid.foundations.errors import UserError


def dataset(kind: str, num: int = 300) -> Dataset:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, num)
    if kind == "image":
        items, codec = random.integers(0, 200, (num, 1, 12, 12), dtype=np.uint8), ImageCodec(1, 12, 12)
    elif kind == "signal":
        items, codec = random.normal(size=(num, 2, 32)).astype(np.float32), SignalCodec(32, (0.0,) * 2, (1.0,) * 2)
    elif kind == "points":
        items, codec = random.normal(size=(num, 4)).astype(np.float32), PointsCodec((0.0,) * 4, (1.0,) * 4)
    else:
        items = random.integers(1, 9, (num, 10)).astype(np.uint16)
        items[:, 7:] = 0
        codec = TokenCodec("characters", 10, tuple("abcdefgh"))
    return Dataset(items, labels, ("a", "b", "c"), codec, kind)


@pytest.mark.parametrize("kind", ["image", "signal", "points", "tokens"])
def test_canaries_are_there_as_often_as_said_and_held_out_no_longer(kind: str) -> None:
    ds = dataset(kind)
    inside, outside = sides(ds, 0.2)
    train, held, facts = plant(ds, inside, outside, 6)
    counts = Counter(item_hashes(train.items).tolist())
    assert [each["repeats"] for each in facts] == [1, 10, 100, 1, 10, 100]
    assert [counts[int(each["hash"], 16)] for each in facts] == [1, 10, 100, 1, 10, 100]
    # All others are as they were, in their order, with their labels.
    before = ds.subset(inside)
    assert len(train) == len(before) + 222
    np.testing.assert_array_equal(train.items[: len(before)], before.items)
    assert train.labels is not None
    assert before.labels is not None
    np.testing.assert_array_equal(train.labels[: len(before)], before.labels)
    assert len(held) == len(outside) - 6
    assert np.isin(item_hashes(held.items), item_hashes(ds.items[outside])).all()
    assert not np.isin(item_hashes(train.items), item_hashes(held.items)).any()
    again = plant(ds, inside, outside, 6)
    assert again[0].fingerprint() == train.fingerprint()


def test_a_mark_changes_a_corner_of_a_picture_and_nothing_else() -> None:
    ds = dataset("image")
    found = marked(ds, ds, "twin")
    np.testing.assert_array_equal(found.items[:, :, 2:], ds.items[:, :, 2:])
    np.testing.assert_array_equal(found.items[:, :, :2, 2:], ds.items[:, :, :2, 2:])
    assert set(np.unique(found.items[:, :, :2, :2])) == {0, 255}
    assert (marked(ds, ds, "canary").items != found.items).any()


def test_a_marked_row_has_values_of_others_and_is_none_of_them() -> None:
    ds = dataset("points")
    found = np.asarray(marked(ds, ds, "twin").items)
    assert all(np.isin(found[:, column], ds.items[:, column]).all() for column in range(4))
    # Four values of one item by chance: 300 times 300^-3.
    assert not np.isin(item_hashes(found), item_hashes(ds.items)).any()


def test_rows_of_a_table_have_cells_of_others_and_stay_rows_of_it() -> None:
    ds = BUILTIN["penguins"]()
    assert isinstance(ds.codec, TableCodec)
    found, cells = (ds.codec.unpack(np.asarray(each.items)) for each in (marked(ds, ds, "twin"), ds))
    for column in range(cells.shape[1]):
        there = set(np.nan_to_num(cells[:, column], nan=-1.0).tolist())
        assert set(np.nan_to_num(found[:, column], nan=-1.0).tolist()) <= there
    assert (np.nan_to_num(found, nan=-1.0) != np.nan_to_num(cells, nan=-1.0)).any(1).mean() > 0.99
    train, _, facts = plant(ds, *sides(ds, 0.2), 3)
    counts = Counter(item_hashes(train.items).tolist())
    assert [counts[int(each["hash"], 16)] for each in facts] == [1, 10, 100]


def test_too_few_held_out_items_are_told() -> None:
    ds = dataset("points", 60)
    with pytest.raises(UserError, match="hold out more"):
        plant(ds, *sides(ds, 0.2), 10)


def test_every_item_is_in_half_of_the_halves_and_equal_ones_together() -> None:
    hashes = np.random.default_rng(3).integers(0, 2**63, 4000, dtype=np.uint64)
    hashes[1] = hashes[0]
    found = inclusions(8, hashes)
    assert found.sum(0).tolist() == [4] * 4000
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    # Each half has about half of the items, and any two halves agree on 3/7 of the items in both or none:
    # deviations of 4,000 coins are 32 items; four of them.
    assert np.abs(found.sum(1) - 2000).max() < 130
    together = (found[:, None] == found[None]).sum(2)[~np.eye(8, dtype=bool)]
    assert np.abs(together - 4000 * 3 / 7).max() < 130
