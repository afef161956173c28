"""Columns: what a file says is what a network is told, what is missing is "none", and users' words mean the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.data.arrays import Dataset
from pellucid.data.codecs import ImageCodec, PointsCodec
from pellucid.data.column import Column
from pellucid.data.columns import (
    class_column,
    items_column,
    notes_of,
    tags_column,
    text_column,
    vector_column,
)
from pellucid.data.conditions import Part
from pellucid.foundations.errors import UserError

CAPTIONS = ["red square", "", "blue square", "red heart", "Blue  HEART", "red square"]
PICTURES = np.random.default_rng(0).integers(0, 256, (6, 1, 2, 2)).astype(np.uint8)
KNOWN = np.array([1, 1, 0, 1, 1, 1], bool)


def columns() -> tuple[Column, ...]:
    return (
        class_column("kind", ["cat", "dog", "", "cat", "10", "9"]),
        tags_column("tags", ["round; red", "", "red", "red;round ; red", "blue", "blue"]),
        vector_column("age", np.array([1.0, 2.0, np.nan, 4.0, 7.0, 8.0])),
        text_column("caption", CAPTIONS),
        items_column("photo", PICTURES, ImageCodec(1, 2, 2), KNOWN),
    )


def dataset(**changes: Any) -> Dataset:
    plain = Dataset(PICTURES, None, (), ImageCodec(1, 2, 2), "six", columns=columns())
    return replace(plain, **changes)


def test_cells_become_what_the_table_of_kinds_says() -> None:
    nan = float("nan")
    cond = dataset().conditions(np.arange(6))
    assert cond["kind"].tolist() == [2, 3, 4, 2, 1, 0]  # numbers first and by size, then words; none is 4
    assert columns()[1].part.names == ("blue", "red", "round")
    tags = torch.tensor([[0.0, 1, 1], [nan, nan, nan], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 0]])
    assert torch.equal(cond["tags"].nan_to_num(-1), tags.nan_to_num(-1))
    ages = np.array([1.0, 2, 4, 7, 8])
    expected = torch.tensor((ages - ages.mean()) / ages.std(), dtype=torch.float32)
    torch.testing.assert_close(cond["age"][KNOWN, 0], expected, atol=1e-6, rtol=0)  # the rounding of float32
    assert cond["age"][2].isnan().all()
    assert torch.equal(cond["photo"][KNOWN], torch.from_numpy(PICTURES[KNOWN] / np.float32(127.5) - 1))
    assert cond["photo"][2].isnan().all()
    for name, value in cond.items():
        part = next(column.part for column in columns() if column.part.name == name)
        assert value.dtype == part.absent(1).dtype
        assert value.shape[1:] == part.shape == part.absent(1).shape[1:]


def test_a_text_is_its_pieces_whatever_its_case_and_blanks() -> None:
    column = columns()[3]
    ids = column.tensor(np.arange(6))
    assert torch.equal(ids[0], ids[5])
    assert torch.equal(ids[4], column.part.encode(["blue heart"])[0])
    assert not ids[1].any()
    assert len({tuple(row) for row in ids.tolist()}) == 5
    assert ids.max() < column.part.size  # as many rows as an embedding needs
    assert column.part.shape == (8,)  # rounded up to eight pieces


def test_a_long_caption_is_cut_and_told() -> None:
    long = " ".join(f"word{i}" for i in range(100))
    column = text_column("caption", [long, "short", ""])
    assert column.part.shape == (64,)
    assert column.tensor(np.array([0])).gt(0).all()
    assert "1 texts of more than 64 pieces are cut off" in " ".join(notes_of(column))
    with pytest.raises(UserError, match=r"caption has \d+ pieces, and this model reads at most 64"):
        column.part.encode([long])


def test_what_is_missing_is_counted() -> None:
    told = [note for column in columns() for note in notes_of(column)]
    assert told == [f"{c.part.name}: 1 of 6 items have none, and are learned without it" for c in columns()]


def test_parts_travel_as_json() -> None:
    for column in columns():
        again = Part.from_json(json.loads(json.dumps(column.part.to_json())))
        assert again == column.part
        assert column.part.name in again.sentence() or again.sentence()


def test_a_users_words_mean_what_the_file_meant() -> None:
    kind, tags, age, caption, photo = (column.part for column in columns())
    cond = dataset().conditions(np.arange(6))
    assert torch.equal(kind.encode(["cat", "dog", None, "cat", 10, "9"]), cond["kind"])
    given = ["round; red", "none", ["red"], ["red", "round"], "blue", "blue"]
    assert torch.equal(tags.encode(given).nan_to_num(-1), cond["tags"].nan_to_num(-1))
    assert torch.equal(age.encode([1, "2", "", 4.0, [7], "8"]).nan_to_num(-9), cond["age"].nan_to_num(-9))
    assert torch.equal(caption.encode(CAPTIONS), cond["caption"])
    pictures = [None if i == 2 else PICTURES[i] for i in range(6)]
    assert torch.equal(photo.encode(pictures).nan_to_num(-9), cond["photo"].nan_to_num(-9))
    assert torch.equal(photo.encode([cond["photo"][0]]), cond["photo"][:1])  # in the model's scale already


@pytest.mark.parametrize(
    ("which", "value", "message"),
    [
        (0, "caat", "unknown kind 'caat'; did you mean 'cat'"),
        (0, 7, "unknown kind '7'"),
        (1, "red; rund", "unknown tags 'rund'; did you mean 'round'"),
        (2, "old", "age is a finite number, got 'old'"),
        (2, float("inf"), "age is a finite number"),
        (2, [1, 2], "age is a finite number"),
        (3, 5, "caption is a text, got 5"),
        (3, "one two three four five six seven", r"caption has \d+ pieces, and this model reads at most 8"),
        (4, PICTURES, r"photo has the shape \(1, 2, 2\)"),
        (4, PICTURES[0] / 255, "whole numbers 0 .. 255"),
        (4, "nowhere.png", r"'nowhere\.png' cannot be read as a picture: no such file"),
    ],
)
def test_what_is_not_understood_is_refused(which: int, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        columns()[which].part.encode([value])


def test_a_file_is_read_as_a_square(tmp_path: Any) -> None:
    wide = np.zeros((4, 40), np.uint8)
    wide[:, 8:32] = 200  # the centred square of 4 x 4, averaged to 2 x 2 by a filter of 6 pixels to either side
    Image.fromarray(wide).save(tmp_path / "wide.png")
    seen = columns()[4].part.encode([tmp_path / "wide.png"])
    assert torch.equal(seen, torch.full((1, 1, 2, 2), 200 / 127.5 - 1))


def test_several_values_are_told_from_one() -> None:
    pair = vector_column("place", np.arange(12.0).reshape(6, 2)).part
    kind, tags, age, caption, photo = (column.part for column in columns())
    assert pair.listed([1, 2]) == [[1, 2]]
    assert pair.listed([[1, 2], [3, 4]]) == [[1, 2], [3, 4]]
    assert pair.listed(["1,2"]) == ["1,2"]
    assert age.listed([1, 2]) == [1, 2]
    assert age.listed(3) == [3]
    assert kind.listed("cat") == ["cat"]
    assert tags.listed(["red; blue", "red"]) == ["red; blue", "red"]
    assert caption.listed(["a", "b"]) == ["a", "b"]
    assert len(photo.listed(PICTURES[0])) == 1
    assert len(photo.listed(PICTURES)) == 6


def test_subsets_carry_their_columns() -> None:
    ds = dataset(labels=np.array([0, 1, 0, 1, 0, 1]), label_names=("a", "b"))
    rows = np.array([5, 2, 3])
    part, whole = ds.subset(rows), ds.conditions(rows)
    for name, value in part.conditions(np.arange(3)).items():
        torch.testing.assert_close(value, whole[name], atol=0, rtol=0, equal_nan=True)
    assert part.columns[3].words is not None
    assert part.columns[3].words.tolist() == ["red square", "blue square", "red heart"]


def test_the_fingerprint_follows_every_value_and_no_columns_change_nothing() -> None:
    plain = dataset(columns=()).fingerprint()
    assert plain == Dataset(PICTURES, None, (), ImageCodec(1, 2, 2), "six").fingerprint()
    seen = {plain, dataset().fingerprint()}
    others = (
        class_column("kind", ["dog", "dog", "", "cat", "10", "9"]),
        tags_column("tags", ["round", "", "red", "red;round ; red", "blue", "blue"]),
        vector_column("age", np.array([1.0, 2.0, np.nan, 4.0, 8.0, 7.0])),
        text_column("caption", ["red heart", *CAPTIONS[1:]]),
        items_column("photo", PICTURES, ImageCodec(1, 2, 2)),
    )
    for i, other in enumerate(others):
        changed = [*columns()]
        changed[i] = other
        seen.add(dataset(columns=tuple(changed)).fingerprint())
    assert len(seen) == 7
    assert dataset().fingerprint() in seen


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="6 items need as many values of 'age': 2"):
        dataset(columns=(vector_column("age", np.arange(2.0)),))
    with pytest.raises(ValueError, match="names of their own"):
        dataset(columns=(columns()[0], columns()[0]))
    with pytest.raises(ValueError, match="names of their own"):
        dataset(columns=(class_column("label", list("abcabc")),))
    with pytest.raises(ValueError, match="shape"):
        Column(Part("age", "vector", ("age",), (2,)), np.zeros((6, 1)))
    with pytest.raises(UserError, match="plain word"):
        vector_column("my age", np.arange(6.0))
    with pytest.raises(UserError, match="cannot be called 'noise'"):
        vector_column("noise", np.arange(6.0))
    with pytest.raises(UserError, match="infinite"):
        vector_column("age", np.array([1.0, np.inf]))
    with pytest.raises(UserError, match="no number"):
        vector_column("age", np.array([np.nan]))
    with pytest.raises(UserError, match="no text"):
        text_column("caption", ["", " "])


def test_points_can_be_conditions() -> None:
    codec = PointsCodec((1.0, 2.0), (2.0, 4.0))
    part = items_column("start", np.array([[1, 2], [3, 6]], np.float32), codec).part
    assert part.encode([[3.0, 6.0]]).tolist() == [[1.0, 1.0]]
