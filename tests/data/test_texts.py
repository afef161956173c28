"""Texts read from files and from the built-in sets."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from pellucid.data import open_dataset
from pellucid.data.arrays import split
from pellucid.data.texts import Reading, load_text
from pellucid.foundations.errors import MissingExtra, UserError


def test_lines_are_items(tmp_path: Path) -> None:
    file = tmp_path / "towns.txt"
    file.write_text("\ufeffOslo\n\n  Bergen \nÅlesund\nOslo\n", encoding="utf-8")
    data = open_dataset(file)
    assert data.codec.texts(data.items) == ["Oslo", "Bergen", "Ålesund", "Oslo"]
    assert data.codec.sort == "characters"
    assert data.codec.length == 7
    assert data.name == "towns"


def test_a_long_text_is_cut_into_windows_that_follow_one_another(tmp_path: Path) -> None:
    text = "".join(f"{i:05d}, " for i in range(400))
    file = tmp_path / "long.txt"
    file.write_text(text)
    data = open_dataset(file, reading=Reading(length=50))
    assert data.items.shape == (len(text.strip()) // 50, 50)
    assert text.startswith("".join(data.codec.texts(data.items)))
    assert "windows of 50 characters" in data.notes[0]
    asked = open_dataset(file, reading=Reading("bytes", 7, "windows"))
    assert asked.codec.texts(asked.items)[3] == "00003, "


def test_bytes_and_pieces_on_request(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("the cat\nthe hat\nthe cat sat\n" * 20)
    for symbols in ("bytes", "pieces", "300-pieces"):
        data = open_dataset(file, reading=Reading(symbols))
        assert data.codec.texts(data.items[:3]) == ["the cat", "the hat", "the cat sat"]
        assert data.codec.sort == symbols.rpartition("-")[2]
    assert data.codec.num_symbols <= 301
    assert data.codec.length < 11
    assert any("pieces were learned" in note for note in data.notes)


def test_refusals_tell_the_place(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("short\nthis line is longer\n")
    with pytest.raises(UserError, match=r"line 2 of .*a.txt' has 19 characters, .* may have 8: set data.length"):
        load_text(file, Reading(length=8))
    file.write_bytes(b"fine\n\xff\xfe")
    with pytest.raises(UserError, match="no UTF-8 text: byte 5 is 0xff"):
        open_dataset(file)
    file.write_text(" \n\n")
    with pytest.raises(UserError, match="holds no text"):
        open_dataset(file)
    with pytest.raises(UserError, match="did you mean 'bytes'"):
        Reading("byte")
    with pytest.raises(UserError, match="did you mean 'windows'"):
        Reading(cut="window")
    with pytest.raises(UserError, match="at least 1"):
        Reading(length=0)
    with pytest.raises(UserError, match="no text, takes no reading"):
        open_dataset("moons", reading=Reading("bytes"))


def test_names_are_all_there_and_stay_whole_in_a_split() -> None:
    data = open_dataset("names")
    assert len(data) == 94_293
    assert [int((data.labels == k).sum()) for k in range(3)] == [4275, 1219, 88_799]
    assert data.label_names == ("female", "male", "surname")
    assert data.codec.texts(data.items[[0, 4275, 5494]]) == ["Mary", "James", "Smith"]
    train, held = split(data, 0.1)
    texts = [set(part.codec.texts(part.items)) for part in (train, held)]
    assert not texts[0] & texts[1]
    # A name goes by its hash, with probability 1/10: 4 standard deviations of the binomial of 91,910 names.
    assert len(texts[1]) == pytest.approx(9191, abs=4 * (91_910 * 0.09) ** 0.5)
    assert "names" not in sys.modules  # found, not imported


def test_verses_are_in_pieces_by_book() -> None:
    pytest.importorskip("tokenizers")
    data = open_dataset("verses", reading=Reading("bytes", 200))
    assert data.label_names[0] == "Genesis"
    assert len(data.label_names) == 66
    assert data.codec.texts(data.items[:1]) == ["In the beginning God created the heaven and the earth."]
    assert "texts of more than 200 bytes are left out" in data.notes[0]
    assert (np.diff(data.labels) >= 0).all()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"'names' needs the package 'names': pip install 'pellucid\[data\]'"):
        open_dataset("names")
