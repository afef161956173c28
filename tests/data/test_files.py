from pathlib import Path

import numpy as np
import pytest

from pellucid.data import files
from pellucid.data.files import load_csv, load_npy, load_npz
from pellucid.foundations.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 7)).astype(np.uint8)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("key", ["images", "x", "data", "items", "whatever"])
@pytest.mark.parametrize("label_key", ["labels", "y", None])
def test_npz_keys(tmp_path: Path, key: str, label_key: str | None) -> None:
    labels = np.array([2, 0, 1, 0, 2])
    np.savez(tmp_path / "a.npz", **{key: IMAGES} | ({label_key: labels} if label_key else {}))
    ds = load_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(ds.items[:, 0], IMAGES)
    assert (ds.labels is None) == (label_key is None)
    if ds.labels is not None:
        np.testing.assert_array_equal(ds.labels, labels)
        assert load_npz(tmp_path / "a.npz", labels="none").labels is None


def test_npz_that_can_be_read_in_two_ways_asks(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, images=IMAGES, x=IMAGES)
    with pytest.raises(UserError, match="among: images, x"):
        load_npz(path)
    np.savez(path, one=IMAGES, two=IMAGES)
    with pytest.raises(UserError, match="among: one, two"):
        load_npz(path)
    np.savez(path, images=IMAGES, labels=np.arange(5), y=np.zeros(5, int))
    with pytest.raises(UserError, match="labels='labels'"):
        load_npz(path)
    assert load_npz(path, labels="y").labels.tolist() == [0] * 5
    with pytest.raises(UserError, match=r"no array 'z' .*images, labels, y"):
        load_npz(path, labels="z")


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("pickle-ran"),))  # what a malicious file would do


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_nothing_is_unpickled(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    array = np.empty(1, object)
    array[0] = Trap()
    if suffix == "npy":
        np.save(tmp_path / "a.npy", array)
    else:
        np.savez(tmp_path / "a.npz", x=array)
    with pytest.raises(UserError, match="Python objects"):
        (load_npy if suffix == "npy" else load_npz)(tmp_path / f"a.{suffix}")
    assert not (tmp_path / "pickle-ran").exists()


def test_npy_in_memory_and_mapped_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.moveaxis(np.stack([IMAGES] * 3, 1), 1, 3))
    np.save(tmp_path / "labels.npy", np.array(["b", "a", "b", "b", "a"]))
    memory = load_npy(tmp_path / "a.npy", labels=tmp_path / "labels.npy")
    monkeypatch.setattr(files, "MAP_ABOVE", 10)
    mapped = load_npy(tmp_path / "a.npy", labels=tmp_path / "labels.npy")
    assert isinstance(mapped.items, np.memmap)
    assert not isinstance(memory.items, np.memmap)
    assert mapped.shape == (3, 6, 7)
    assert mapped.label_names == ("a", "b")
    assert mapped.fingerprint() == memory.fingerprint()


def test_mapped_points_keep_their_codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(1).normal(size=(100, 3)).astype(np.float32))
    memory = load_npy(tmp_path / "a.npy")
    monkeypatch.setattr(files, "MAP_ABOVE", 10)
    mapped = load_npy(tmp_path / "a.npy")
    assert isinstance(mapped.items, np.memmap)
    assert mapped.codec == memory.codec


@pytest.mark.parametrize("keep", [0, 3, 60, 200])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_damaged_files_are_told(tmp_path: Path, keep: int, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    np.save(path, IMAGES) if suffix == "npy" else np.savez(path, x=IMAGES)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"cannot be read|Python objects"):
        (load_npy if suffix == "npy" else load_npz)(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        load_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_with_header_and_labels(tmp_path: Path, delimiter: str, mark: str) -> None:
    text = "x,Label,y\n1,cat,-2.5\n\n3e2, dog ,4\n5,cat,6\n".replace(",", delimiter)
    ds = load_csv(write(tmp_path / "a.csv", mark + text))
    np.testing.assert_array_equal(ds.items, np.array([[1, -2.5], [300, 4], [5, 6]], np.float32))
    assert ds.label_names == ("cat", "dog")
    assert ds.labels.tolist() == [0, 1, 0]
    assert load_csv(tmp_path / "a.csv", labels="none").labels is None


def test_csv_without_header(tmp_path: Path) -> None:
    ds = load_csv(write(tmp_path / "a.csv", "1,2\r\n3,4\r\n"))
    np.testing.assert_array_equal(ds.items, [[1, 2], [3, 4]])
    assert ds.labels is None


def test_csv_with_a_named_label_column(tmp_path: Path) -> None:
    ds = load_csv(write(tmp_path / "a.csv", "x,species\n1,b\n2,a\n"), labels="species")
    assert (ds.labels.tolist(), ds.label_names) == ([1, 0], ("a", "b"))
    with pytest.raises(UserError, match=r"no column 'kind' .*x, species"):
        load_csv(tmp_path / "a.csv", labels="kind")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2\n3,NaN\n", r"line 3, column 'y' holds 'NaN'"),
        ("x,y\n1,2\n\n-inf,3\n", r"line 4, column 'x' holds '-inf'"),
        ("x,y\n1,\n", r"line 2, column 'y' is empty"),
        ("1,2\n3,four\n", r"line 2, column 'column 2' holds 'four'"),
        ("x,y\n1,2,3\n", r"line 2: 3 cells where the first row has 2"),
        ("x,label\n1,\n", r"line 2: the label in column 'label' is missing"),
        ("x,y\n", "a header and no rows"),
        ("\n \n", "is empty"),
        ("label\na\n", "no column of numbers"),
    ],
)
def test_csv_mistakes_are_placed(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_csv(write(tmp_path / "a.csv", text))


def test_csv_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("größe\n1\n".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        load_csv(tmp_path / "a.csv")
