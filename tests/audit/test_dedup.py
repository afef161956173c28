"""Cleaned files against what was repeated on purpose; the original keeps its bytes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.audit.dedup import dedup
from pellucid.foundations.errors import UserError


def rows(num: int = 60) -> np.ndarray:
    """Points of which the last three are nearly the first three."""
    points = np.random.default_rng(0).normal(size=(num, 6)).astype(np.float32)
    points[-3:] = points[:3] + 1e-3
    return points


def test_arrays_lose_the_later_ones_with_their_labels(tmp_path: Path) -> None:
    source, out = tmp_path / "a.npz", tmp_path / "clean.npz"
    np.savez(source, x=rows(), labels=np.arange(60) % 4, scale=np.float32(2))
    before = source.read_bytes()
    found = dedup(source, out, options={"kind": "points"})
    assert (found.num, found.removed) == (60, 3)
    assert found.groups == ((0, 57), (1, 58), (2, 59))
    with np.load(out) as clean:
        np.testing.assert_array_equal(clean["x"], rows()[:57])
        np.testing.assert_array_equal(clean["labels"], np.arange(57) % 4)
        assert clean["scale"] == 2
    assert source.read_bytes() == before


def test_csv_keeps_its_head_and_its_cells_as_they_are(tmp_path: Path) -> None:
    source, out = tmp_path / "a.csv", tmp_path / "clean.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c", "d", "e", "f"], *rows().round(4).tolist()])
    assert dedup(source, out).removed == 3
    assert out.read_text().splitlines() == source.read_text().splitlines()[:58]


def test_texts_are_alike_where_they_are_equal(tmp_path: Path) -> None:
    source, out = tmp_path / "a.txt", tmp_path / "clean.txt"
    lines = [f"line {i} of a text" for i in range(40)]
    source.write_text("\n".join([*lines, lines[3], lines[3]]))
    assert dedup(source, out).groups == ((3, 40, 41),)
    assert out.read_text().splitlines() == lines


def test_a_folder_gets_a_list(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (30, 16, 16), dtype=np.uint8)
    for i, picture in enumerate([*pictures, np.clip(pictures[4].astype(int) + 1, 0, 255).astype(np.uint8)]):
        Image.fromarray(picture).save(folder / f"{i:02d}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    found = dedup(folder, tmp_path / "list.csv", options={"size": 16})
    with (tmp_path / "list.csv").open() as file:
        told = {row["file"]: (row["kept"], row["like"]) for row in csv.DictReader(file)}
    assert told["30.png"] == ("no", "04.png")
    assert sum(kept == "yes" for kept, _ in told.values()) == 30
    assert "broken.png" not in told
    assert found.removed == 1


def test_what_exists_and_what_is_of_another_kind_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.npy"
    np.save(source, rows())
    with pytest.raises(UserError, match="nothing is overwritten"):
        dedup(source, source)
    with pytest.raises(UserError, match=r"a \.npy file is written"):
        dedup(source, tmp_path / "b.csv")
    with pytest.raises(UserError, match="built-in sets stay"):
        dedup("digits", tmp_path / "b.npz")
