"""Atomic files: a failure or a kill leaves the old content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pellucid.foundations import durable


def test_replaced_at_one_stroke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = durable.write_atomic(tmp_path / "a.txt", "old")
    durable.write_atomic(path, b"new")
    assert path.read_text() == "new"

    def refuse(*_: object) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk gone"):
        durable.write_atomic(path, "newer")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_flushed_before_the_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("rename"), replace(*names)))
    durable.write_atomic(tmp_path / "a", "x")
    assert order == ["fsync", "rename", "fsync"]


def test_non_finite_numbers_become_null() -> None:
    mixed = {"a": [1.0, float("inf")], "b": {"c": float("nan")}}
    assert durable.finite(mixed) == {"a": [1.0, None], "b": {"c": None}}
