"""A model on disk: read whole or not at all, and used by names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import pellucid as pl
from pellucid.config import ProcessSettings
from pellucid.foundations.errors import UserError
from pellucid.model import Card, load, make_process, save
from pellucid.train import checkpoint

from .small import trained, untrained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("model") / "run", training__save_every=1e-9).run.path


def test_a_card_survives_json() -> None:
    card = untrained().card
    assert Card.from_json(card.to_json()) == card


def test_an_exported_model_makes_the_same_samples(tmp_path: Path) -> None:
    model = untrained()
    folder = save(model, tmp_path / "model")
    again = load(folder)
    assert again.weights_hash == model.weights_hash
    assert again.card == model.card
    assert torch.equal(pl.sample(model, 3), pl.sample(again, 3))
    with pytest.raises(UserError, match="never overwritten"):
        save(model, tmp_path / "model")


def test_a_run_a_checkpoint_and_an_export_are_one_model(run: Path, tmp_path: Path) -> None:
    model = load(run)
    newest = checkpoint.latest(run).folder
    assert newest is not None
    assert load(newest).weights_hash == model.weights_hash
    assert load(save(model, tmp_path / "export")).weights_hash == model.weights_hash
    saved = checkpoint.load(newest)
    assert model.weights_hash == checkpoint.weights_hash(saved.tensors["ema.safetensors"]) == saved.metadata["weights"]
    for name, value in model.denoiser.network.state_dict().items():  # the average is used, not the last step's weights
        assert torch.equal(value, saved.tensors["ema.safetensors"][name])
    assert not model.denoiser.training
    assert not any(p.requires_grad for p in model.denoiser.parameters())
    assert model.shape == (1, 8, 8)


def test_labels_by_name_or_number(run: Path) -> None:
    model = load(run)
    assert model.label_ids("3") == model.label_ids(3) == [3]
    assert model.label_ids(["0", 9, "none", "None"]) == [0, 9, 10, 10]
    with pytest.raises(UserError, match=r"unknown label '11'; did you mean '1'\? Allowed: 0, 1,"):
        model.label_ids("11")


def test_damage_is_passed_over_and_told_or_refused(tmp_path: Path) -> None:
    path = trained(tmp_path / "run", training__save_every=1e-9).run.path
    newest, *older = checkpoint.steps(path)
    file = newest / "ema.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    model = load(path)
    (note,) = model.notes
    assert f"used {older[0].name}" in note
    assert "is altered" in note
    assert model.weights_hash == load(older[0]).weights_hash
    with pytest.raises(UserError, match=r"is altered.*Use the previous checkpoint"):
        load(newest)  # a checkpoint that was named is not silently another
    for folder in older:
        (folder / "ema.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"no valid checkpoint yet: .*truncated"):
        load(path)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(UserError, match=r"no run|is no run folder"):
            load(path)
    checkpoint.save(tmp_path / "other", {"state.json": {}})
    with pytest.raises(UserError, match=r"is no model: model\.json or ema\.safetensors is missing"):
        load(tmp_path / "other")


def test_process_options_are_checked() -> None:
    assert make_process(ProcessSettings(schedule="ve", schedule_options={"sigma_max": 10.0})) is not None
    with pytest.raises(UserError, match=r"unknown option of the schedule 've' 'sigma_mx'; did you mean 'sigma_max'"):
        make_process(ProcessSettings(schedule="ve", schedule_options={"sigma_mx": 10.0}))
