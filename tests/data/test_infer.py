"""Conditions from files: each column is what its cells look like, unless a person says otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.config import nested, parse_setting, resolve
from pellucid.data.files import load_csv, load_npz
from pellucid.data.folder import load_folder
from pellucid.data.infer import ColumnKinds, infer, plain_name
from pellucid.data.inspect import contact_sheet
from pellucid.data.open import open_dataset
from pellucid.foundations.errors import UserError
from pellucid.train.prepare import open_split


def folder(path: Path, names: tuple[str, ...] = ("a", "b", "c", "d")) -> Path:
    for i, name in enumerate(names):
        file = path / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (40 * i, 0, 255 - 40 * i)).save(file)
    return path


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("caption", ["a", "b", "a", "b"], "text"),
        ("Prompt", ["1", "2", "", "4"], "text"),
        ("age", ["1", "2.5", "", "-3e2"], "vector"),
        ("edge", ["e/a.png", "", "b.JPG", "c.webp"], "items"),
        ("tags", ["a; b", "a", "", "c"], "tags"),
        ("breed", ["cat", "dog", "cat", ""], "class"),
        ("remark", ["one of a kind", "another", "a third", "no more"], "text"),  # all different
        ("remark", ["a sentence that is far too long for a name"] * 4, "text"),
        ("empty", ["", " ", "", ""], "none"),
    ],
)
def test_a_column_is_what_it_looks_like(name: str, cells: list[str], kind: str) -> None:
    assert infer(name, cells, pictures=True) == kind


def test_names_become_plain_words() -> None:
    assert plain_name(" hair colour (%)") == "hair_colour"
    assert plain_name("2nd") == "_2nd"


def test_further_columns_of_the_labels_are_conditions(tmp_path: Path) -> None:
    folder(tmp_path)
    rows = ["file,label,caption,age,tags", "a.png,x,a red cat,1,big; red", "b.png,y,,2,", "c.png,x,Blue,,red"]
    (tmp_path / "labels.csv").write_text("\n".join([*rows, "d.png,y,a red dog,9,red"]) + "\n")
    ds = load_folder(tmp_path)
    assert [(c.part.name, c.part.kind) for c in ds.columns] == [
        ("caption", "text"),
        ("age", "vector"),
        ("tags", "tags"),
    ]
    assert (ds.label_names, len(ds)) == (("x", "y"), 4)
    cond = ds.conditions([1, 2])
    assert not cond["caption"][0].any()
    assert cond["caption"][1].any()
    assert cond["age"].isnan().flatten().tolist() == [False, True]
    assert cond["tags"][0].isnan().all()
    assert "caption: 1 of 4 items have none, and are learned without it" in ds.notes
    kinds = ColumnKinds({"age": "class", "tags": "none"})
    assert [c.part.kind for c in load_folder(tmp_path, conditions=kinds).columns] == ["text", "class"]
    assert load_folder(tmp_path, labels_csv="none").columns == ()
    with pytest.raises(UserError, match=r"unknown column in data\.conditions 'aeg'; did you mean 'age'"):
        load_folder(tmp_path, conditions=ColumnKinds({"aeg": "vector"}))
    with pytest.raises(UserError, match="the column 'caption' holds 'a red cat', where a number belongs"):
        load_folder(tmp_path, conditions=ColumnKinds({"caption": "vector"}))
    assert (
        contact_sheet(ds).height
        > contact_sheet(load_folder(tmp_path, conditions=ColumnKinds({"caption": "none"}))).height
    )


def test_a_metadata_file_needs_no_labels_and_may_leave_pictures_out(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "metadata.csv").write_text('file_name,text\na.png,"red, and round"\nc.png,blue\n', encoding="utf-8-sig")
    ds = load_folder(tmp_path)
    assert ds.labels is None
    assert not ds.rejected
    (column,) = ds.columns
    assert column.words is not None
    assert column.words.tolist() == ["red, and round", "", "blue", ""]
    assert "text: 2 of 4 items have none, and are learned without it" in ds.notes


def test_captions_lie_beside_pictures(tmp_path: Path) -> None:
    folder(tmp_path, ("x/a", "x/b", "y/a"))
    (tmp_path / "x/a.txt").write_text("A red\nheart\n")
    (tmp_path / "y/a.txt").write_text("a blue heart")
    (tmp_path / "y/alone.txt").write_text("beside nothing")
    ds = load_folder(tmp_path)
    assert [r.path for r in ds.rejected] == ["y/alone.txt"]
    assert ds.label_names == ("x", "y")
    (column,) = ds.columns
    assert column.words is not None
    assert column.part.name == "caption"
    assert column.words.tolist() == ["A red heart", "", "a blue heart"]
    (tmp_path / "x/a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"the caption .*a\.txt' is not a text file in UTF-8"):
        load_folder(tmp_path)


def test_pictures_that_belong_to_pictures_are_no_items(tmp_path: Path) -> None:
    folder(tmp_path, ("a", "b", "c"))
    (tmp_path / "edges").mkdir()
    for i, name in enumerate("ab"):
        Image.new("L", (16, 16), 100 + i).save(tmp_path / "edges" / f"{name}.png")
    (tmp_path / "labels.csv").write_text("file,edges\na.png,edges/a.png\nb.png,edges/b.png\nc.png,\n")
    ds = load_folder(tmp_path)
    assert len(ds) == 3
    (column,) = ds.columns
    assert (column.part.kind, column.part.shape) == ("items", (1, 16, 16))
    seen = column.tensor(np.arange(3))[:, 0, 0, 0]
    assert seen[:2].tolist() == pytest.approx([100 / 127.5 - 1, 101 / 127.5 - 1])
    assert seen[2].isnan()
    (tmp_path / "edges" / "b.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"the picture 'edges/b\.png' in the column 'edges' cannot be read"):
        load_folder(tmp_path)


def test_cells_that_contradict_one_another_are_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "labels.csv").write_text("file,age\na.png,1\na.png,2\n")
    with pytest.raises(UserError, match=r"line 3: 'a\.png' has the age '2' here and '1' above"):
        load_folder(tmp_path)
    (tmp_path / "labels.csv").write_text("file\na.png\n")
    with pytest.raises(UserError, match=r"needs the columns file and label .* found: file"):
        load_folder(tmp_path)


def test_words_beside_points(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text("x,kind,y,weight,note\n1,a,2,10,\n3,b,4,20,hello there\n5,a,6,30,\n7,b,8,40,good bye\n")
    ds = load_csv(file)
    assert ds.shape == (3,)
    assert [(c.part.name, c.part.kind) for c in ds.columns] == [("kind", "class"), ("note", "class")]
    ds = load_csv(file, labels="kind", conditions=ColumnKinds({"weight": "vector", "note": "text"}))
    assert (ds.shape, ds.label_names) == ((2,), ("a", "b"))
    assert [(c.part.name, c.part.kind) for c in ds.columns] == [("weight", "vector"), ("note", "text")]
    scaled = np.array([10, 20, 30, 40.0])
    expected = (scaled - scaled.mean()) / scaled.std()
    assert ds.conditions(np.arange(4))["weight"][:, 0].tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    file.write_text("x,y\n1,2\n3,oops\n5,6\n")  # one word among numbers is a mistake, not a condition
    with pytest.raises(UserError, match="line 3, column 'y' holds 'oops'"):
        load_csv(file)


def test_arrays_beside_arrays(tmp_path: Path) -> None:
    images = np.arange(4 * 2 * 2, dtype=np.uint8).reshape(4, 2, 2)
    others = {
        "caption": np.array(["red", "", "blue", "red"]),
        "place": np.arange(8.0).reshape(4, 2),
        "mask": 255 - images,
        "wavelengths": np.arange(7.0),  # not a value for each item
    }
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([0, 1, 0, 1]), **others)
    ds = load_npz(tmp_path / "a.npz")
    found = {c.part.name: (c.part.kind, c.part.shape) for c in ds.columns}
    assert found == {"caption": ("text", (8,)), "place": ("vector", (2,)), "mask": ("items", (1, 2, 2))}
    assert ds.conditions([1])["mask"].flatten().tolist() == pytest.approx([(255 - i) / 127.5 - 1 for i in range(4, 8)])
    kinds = ColumnKinds({"caption": "class", "place": "none"})
    assert [c.part.kind for c in load_npz(tmp_path / "a.npz", conditions=kinds).columns] == ["class", "items"]
    with pytest.raises(UserError, match=r"the array 'mask' of uint8 and shape \(4, 2, 2\) cannot be text"):
        load_npz(tmp_path / "a.npz", conditions=ColumnKinds({"mask": "text"}))


def test_a_run_is_told_what_columns_are(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "labels.csv").write_text("file,age,remark\na.png,1,u\nb.png,2,v\nc.png,3,u\nd.png,4,v\n")
    flags = nested(dict(parse_setting(t) for t in ("data.conditions.age=class", "data.conditions.remark=none")))
    config = resolve([("", {"data": {"source": str(tmp_path), "holdout": 0.0}}), ("flag", flags)]).config
    train, _ = open_split(config)
    assert [(c.part.name, c.part.kind, c.part.names) for c in train.columns] == [("age", "class", ("1", "2", "3", "4"))]


def test_what_cannot_be_said_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown kind of condition 'txt'; did you mean 'text'"):
        ColumnKinds({"caption": "txt"})
    with pytest.raises(UserError, match="moons has no texts that the text model could read"):
        open_dataset("moons", conditions=ColumnKinds(text_model="somewhere"))
    np.save(tmp_path / "a.npy", np.zeros((4, 2)))
    with pytest.raises(UserError, match="takes no conditions"):
        open_dataset(tmp_path / "a.npy", conditions=ColumnKinds({"x": "vector"}))
