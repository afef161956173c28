import hashlib
import math
from pathlib import Path

import numpy as np
import pytest

from pellucid.data.arrays import Dataset, Rows, encode_labels, split
from pellucid.data.codecs import ImageCodec
from pellucid.foundations.errors import UserError


def pictures(count: int, seed: int = 0, labels: bool = True) -> Dataset:
    random = np.random.default_rng(seed)
    items = random.integers(0, 256, (count, 1, 4, 5)).astype(np.uint8)
    ids = random.integers(0, 3, count) if labels else None
    return Dataset(items, ids, ("a", "b", "c") if labels else (), ImageCodec(1, 4, 5), "random")


def on_disk(ds: Dataset, path: Path) -> Dataset:
    np.save(path, ds.items)
    items = np.load(path, mmap_mode="r")
    return Dataset(items, ds.labels, ds.label_names, ds.codec, ds.name)


def test_fetch_gives_the_asked_items_in_the_asked_order() -> None:
    ds = pictures(10)
    x, labels = ds.fetch(np.array([7, 0, 7]))
    np.testing.assert_allclose(x.double().numpy(), ds.items[[7, 0, 7]] / 127.5 - 1, atol=2**-23)
    assert labels is not None
    assert labels.tolist() == ds.labels[[7, 0, 7]].tolist()
    assert pictures(4, labels=False).fetch([1])[1] is None


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_the_fingerprint_is_the_sha256_of_the_bytes(tmp_path: Path, count: int) -> None:
    ds = pictures(count)
    header = f"|u1 ({count}, 1, 4, 5)".encode()
    expected = hashlib.sha256(header + ds.items.tobytes() + ds.labels.astype("<i8").tobytes()).hexdigest()
    assert ds.fingerprint() == expected
    assert on_disk(ds, tmp_path / "a.npy").fingerprint() == expected


def test_the_fingerprint_changes_with_any_item_or_label() -> None:
    ds = pictures(20)
    changed = ds.items.copy()
    changed[19, 0, 3, 4] ^= 1
    relabelled = ds.labels.copy()
    relabelled[3] = (relabelled[3] + 1) % 3
    prints = {
        ds.fingerprint(),
        Dataset(changed, ds.labels, ds.label_names, ds.codec, "x").fingerprint(),
        Dataset(ds.items, relabelled, ds.label_names, ds.codec, "x").fingerprint(),
        Dataset(ds.items, None, (), ds.codec, "x").fingerprint(),
        ds.subset(np.arange(20)[::-1]).fingerprint(),
    }
    assert len(prints) == 5


def test_a_subset_of_what_is_on_disk_stays_there(tmp_path: Path) -> None:
    memory = pictures(50)
    disk = on_disk(memory, tmp_path / "a.npy")
    rows = np.array([40, 3, 17, 3])
    part, same = disk.subset(rows), memory.subset(rows)
    assert isinstance(part.items, Rows)
    assert part.items.base is disk.items
    assert part.fingerprint() == same.fingerprint()
    assert part.subset([2, 0]).fingerprint() == memory.subset([17, 40]).fingerprint()
    np.testing.assert_array_equal(np.asarray(part.items), same.items)
    np.testing.assert_array_equal(part.fetch([1, 1])[0], same.fetch([1, 1])[0])


@pytest.mark.parametrize("holdout", [0.0, 0.1, 0.5])
def test_the_split_is_a_partition_of_binomial_size(holdout: float) -> None:
    ds = pictures(5000)
    train, held = split(ds, holdout)
    assert len(train) + len(held) == len(ds)
    # five standard deviations of the binomial law
    assert abs(len(held) - holdout * 5000) <= 5 * math.sqrt(5000 * holdout * (1 - holdout))
    rows = {item.tobytes() for item in train.items} | {item.tobytes() for item in held.items}
    assert rows == {item.tobytes() for item in ds.items}
    assert not {item.tobytes() for item in train.items} & {item.tobytes() for item in held.items}


def test_no_item_changes_side_when_others_come_or_move(tmp_path: Path) -> None:
    ds = pictures(400)
    held = {item.tobytes() for item in split(ds, 0.25)[1].items}
    more = Dataset(np.concatenate([pictures(300, seed=9).items, ds.items[::-1]]), None, (), ds.codec, "more")
    held_of_more = {item.tobytes() for item in split(more, 0.25)[1].items}
    assert {item.tobytes() for item in ds.items} & held_of_more == held
    assert held <= {item.tobytes() for item in split(ds, 0.4)[1].items}  # a larger part contains the smaller
    assert split(on_disk(ds, tmp_path / "a.npy"), 0.25)[1].fingerprint() == split(ds, 0.25)[1].fingerprint()


def test_copies_of_one_item_land_on_one_side() -> None:
    ds = pictures(60, labels=False)
    doubled = Dataset(np.concatenate([ds.items, ds.items]), None, (), ds.codec, "doubled")
    train, held = split(doubled, 0.3)
    assert len(train) % 2 == 0
    assert len(held) == 2 * len(split(ds, 0.3)[1])


def test_a_split_that_leaves_nothing_is_refused() -> None:
    same = Dataset(np.zeros((5, 1, 4, 5), np.uint8), None, (), ImageCodec(1, 4, 5), "black")
    with pytest.raises(UserError, match="leaves none to train on"):
        split(same, 1 - 1e-12)
    with pytest.raises(UserError, match=r"\[0, 1\)"):
        split(same, 1.0)


def test_labels_are_ordered_as_numbers_or_as_words() -> None:
    ids, names = encode_labels(np.array(["10", "9", "cat", "10"]))
    assert names == ("9", "10", "cat")
    assert ids.tolist() == [1, 0, 2, 1]
    ids, names = encode_labels(np.array([3, -1, 3]))
    assert (ids.tolist(), names) == ([1, 0, 1], ("-1", "3"))


def test_labels_that_do_not_fit_are_refused() -> None:
    items = np.zeros((2, 1, 4, 5), np.uint8)
    with pytest.raises(ValueError, match="as many labels"):
        Dataset(items, np.zeros(3, np.int64), ("a",), ImageCodec(1, 4, 5), "x")
    with pytest.raises(ValueError, match=r"0 \.\. 0"):
        Dataset(items, np.ones(2, np.int64), ("a",), ImageCodec(1, 4, 5), "x")
    with pytest.raises(ValueError, match="their codec"):
        Dataset(items, None, (), ImageCodec(1, 5, 4), "x")
