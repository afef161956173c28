"""Shards: what was made is read, what is missing or damaged is made, and the rows are the same in any case."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pellucid.evaluation.kept import Shards


def squares(made: list[range]) -> object:
    def make(ids: range) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        made.append(ids)
        return {"x": torch.tensor([[i * i] for i in ids]), "y": torch.tensor(list(ids))}, {"seconds": float(len(ids))}

    return make


def test_rows_are_made_once_and_go_on(tmp_path: Path) -> None:
    shards, made = Shards(tmp_path, 4, {"seed": 0}, "rows"), []
    first, facts = shards.rows(8, squares(made))
    assert [len(ids) for ids in made] == [4, 4]
    assert facts == {"seconds": 8.0}
    more, facts = shards.rows(14, squares(made))
    assert [(ids.start, ids.stop) for ids in made[2:]] == [(8, 12), (12, 14)]  # the first two shards were read
    assert facts == {"seconds": 14.0}
    assert more["x"][:, 0].tolist() == [i * i for i in range(14)]
    assert torch.equal(more["x"][:8], first["x"])
    Shards(tmp_path, 4, {"seed": 1}, "rows").rows(4, squares(made))
    assert len(made) == 5  # another seed has another folder


def test_an_interruption_keeps_what_was_done(tmp_path: Path) -> None:
    shards, made = Shards(tmp_path, 4, {}, "rows"), []

    def stopped(ids: range) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        if ids.start == 8:
            raise KeyboardInterrupt
        return squares(made)(ids)  # type: ignore[operator]

    with pytest.raises(KeyboardInterrupt):
        shards.rows(12, stopped)
    rows, _ = shards.rows(12, squares(made))
    assert [ids.start for ids in made] == [0, 4, 8]
    assert rows["y"].tolist() == list(range(12))


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    shards, made = Shards(tmp_path, 4, {}, "rows"), []
    whole, _ = shards.rows(4, squares(made))
    file = next(tmp_path.rglob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-3] ^= 16  # inside the numbers, which safetensors does not check
    file.write_bytes(content)
    again, _ = shards.rows(4, squares(made))
    assert len(made) == 2
    assert torch.equal(whole["x"], again["x"])


def test_nothing_is_kept_without_a_folder(tmp_path: Path) -> None:
    made: list[range] = []
    Shards(None, 3, {}, "rows").rows(5, squares(made))
    assert [len(ids) for ids in made] == [3, 2]
