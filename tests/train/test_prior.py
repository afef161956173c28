"""Priors over codes: both stages in one, going on, and what has no codes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.config import Resolved, nested, resolve
from pellucid.foundations.errors import UserError
from pellucid.latents.codec import WEIGHTS
from pellucid.latents.codes import CodesCodec
from pellucid.model import load
from pellucid.recipes import RECIPES
from pellucid.tokens.model import load_tokens
from pellucid.train import checkpoint
from pellucid.train.run import Run
from pellucid.train.start import begin, open_split, resume

from ..small import Watcher

SMALL = {
    "data.source": "digits8",
    "data.holdout": 0.2,
    "network.width": 16,
    "training.batch_size": 32,
    "training.pictures": 0,
    "training.budget": "640-items",
    "autoencoder.share": 0.5,
    "autoencoder.codes": 8,
    "sampling.steps": 4,
}


def settings(recipe: str = "prior", **changes: Any) -> Resolved:
    dotted = {**SMALL, **{key.replace("__", "."): value for key, value in changes.items()}}
    return resolve([("recipe", {"recipe": recipe, **RECIPES[recipe].settings}), ("test", nested(dotted))])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages, the first one then lost."""
    folder = tmp_path_factory.mktemp("prior")
    finished = begin(settings(), folder / "run", observer=Watcher())
    assert finished.state.items == 320
    shutil.rmtree(folder / "run-vq")
    return finished.run.path


def test_the_autoencoder_travels_with_its_prior(run: Path) -> None:
    model = load_tokens(run)
    codec = model.card.codec
    assert isinstance(codec, CodesCodec)
    held = open_split(resolve([("", Run.open(run).config)]).config)[1].subset(np.arange(64))
    codes = codec.encode(np.asarray(held.items[:]))
    assert codes.shape == (64, *model.shape)
    assert codes.max() < codec.num_symbols == model.card.network.symbols - 1
    # Codes of pictures are the nearest: decoded and encoded again they change little, and decoding is by the middle.
    assert np.array_equal(codec.decode(codes), codec.items.decode(codec.outward(codes)))
    folder = checkpoint.latest(run).folder
    assert folder is not None
    assert (folder / WEIGHTS).is_file()


def test_it_goes_on_without_its_first_run(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    weights = load_tokens(run).card.codec.weights_hash
    on = resume(tmp_path / "run", more="64-items", observer=Watcher())
    assert on.state.items == 384
    assert load_tokens(tmp_path / "run").card.codec.weights_hash == weights


def test_models_of_numbers_and_of_symbols_are_told_apart(run: Path) -> None:
    with pytest.raises(UserError, match=r"is a model of symbols.*load_tokens"):
        load(run)
    with pytest.raises(UserError, match="no model of symbols"):
        load_tokens("digits")


def test_what_has_no_codes_is_refused(run: Path, tmp_path: Path) -> None:
    vae = begin(settings("kl", training__budget="32-items"), tmp_path / "kl", observer=Watcher())
    with pytest.raises(UserError, match="is a VAE and has no code book"):
        begin(settings(autoencoder__source=str(vae.run.path)), tmp_path / "none", observer=Watcher())
    vq = begin(settings("vq", training__budget="32-items"), tmp_path / "vq", observer=Watcher())
    with pytest.raises(UserError, match=r"encodes image items of the shape \(1, 8, 8\); the data 'moons' hold points"):
        begin(settings(autoencoder__source=str(vq.run.path), data__source="moons"), tmp_path / "x", observer=Watcher())
    with pytest.raises(UserError, match="mirrors"):
        begin(settings(autoencoder__source=str(vq.run.path), data__flip=True), tmp_path / "y", observer=Watcher())
