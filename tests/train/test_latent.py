"""Runs in a latent space: the run of any denoiser, on other coordinates, with an autoencoder that travels along."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pellucid.autoencoders.model import load_autoencoder
from pellucid.config import Resolved, nested, resolve
from pellucid.data.open import open_dataset
from pellucid.foundations.errors import UserError
from pellucid.generate import sample
from pellucid.latents.codec import WEIGHTS, LatentCodec
from pellucid.model import EMA, MODEL, load, save
from pellucid.operators import Downsample
from pellucid.recipes import RECIPES
from pellucid.reporting import report_run
from pellucid.restoration.restore import restore
from pellucid.score import scores
from pellucid.train import checkpoint, encoded
from pellucid.train.latent import LatentDiffusion
from pellucid.train.run import Run
from pellucid.train.start import begin, open_split, resume
from pellucid.verified_run import verify_run

from ..small import Watcher, hashes

TINY = {
    "kind": "latent",
    "data.source": "digits8",
    "data.holdout": 0.2,
    "autoencoder.flat": False,
    "autoencoder.latent": 2,
    "network.kind": "unet",
    "network.width": 8,
    "network.multipliers": [1],
    "network.blocks": 1,
    "network.attention": [0],
    "training.budget": "320-items",
    "training.batch_size": 32,
    "training.pictures": 0,
    "training.precision": "float32",
    "sampling.steps": 4,
}
FIRST = {"kind": "vae", "autoencoder.flat": False, "autoencoder.latent": 2, "training.budget": "1600-items"}


def settings(base: dict[str, Any] | None = None, **changes: Any) -> Resolved:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return resolve([("test", nested({**TINY, **(base or {}), **dotted}))])


def autoencoder(path: Path, **changes: Any) -> Path:
    free = {key: None for key in TINY if key.startswith("network.")}
    return begin(settings(FIRST | free, **changes), path, observer=Watcher()).run.path


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Latents of these tests are kept where no other test looks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return autoencoder(tmp_path_factory.mktemp("first") / "kl")


@pytest.fixture(scope="module")
def run(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = begin(
        settings(autoencoder__source=str(first)), tmp_path_factory.mktemp("latent") / "run", observer=Watcher()
    )
    return found.run.path


def test_resuming_without_the_first_stage_equals_going_through(first: Path, run: Path, tmp_path: Path) -> None:
    def interrupt(items: int) -> None:
        if items < 320:
            signal.raise_signal(signal.SIGINT)

    moved = shutil.copytree(first, tmp_path / "moved")
    begin(settings(autoencoder__source=str(moved)), tmp_path / "run", observer=Watcher(interrupt))
    shutil.rmtree(moved)  # its weights are in the run's own checkpoints
    for _ in range(12):
        if resume(tmp_path / "run", observer=Watcher(interrupt)).signal is None:
            break
    assert hashes(tmp_path / "run") == hashes(run)


def test_latents_have_unit_variance_and_are_drawn_anew(first: Path) -> None:
    prepared = LatentDiffusion().prepare(settings(autoencoder__source=str(first)).config)
    count = 2 * len(prepared.dataset)
    z = prepared.batches.at(0, count).x0
    # 2,800 draws of 2 x 16 values each; neighbours on the grid may be one value, items are not: 4 standard errors.
    assert z.mean(dim=(0, 2, 3)).abs().max() < 4 / count**0.5
    assert (z.square().mean(dim=(0, 2, 3)) - 1).abs().max() < 4 * (2 / count) ** 0.5
    assert prepared.config.process.sigma_data == 1
    # What is left when the means are taken off is the encoder's own noise.
    model = load_autoencoder(first)
    positions = np.arange(256)
    rows = encoded.item_at(encoded.subseed(0, "order"), positions, len(prepared.dataset))
    train, _ = open_split(settings().config)
    x, _ = train.fetch(rows)
    q: Any = model.encode(x)
    codec = prepared.dataset.codec.latent  # type: ignore[attr-defined]
    noise = (z[:256] - codec.standardised(q.mean)) / codec.rescaled(q.log_std.exp())
    assert abs(noise.mean().item()) < 4 / noise.numel() ** 0.5
    assert abs(noise.square().mean().item() - 1) < 4 * (2 / noise.numel()) ** 0.5
    torch.testing.assert_close(prepared.batches.at(100, 8).x0, z[100:108])  # a function of (seed, position) alone


def test_latents_are_encoded_once(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings(autoencoder__source=str(first)).config
    before = LatentDiffusion().prepare(config).batches.at(0, 8).x0

    def never(*_: Any) -> Any:
        raise AssertionError("encoded again")

    monkeypatch.setattr(encoded, "_laws", never)
    assert torch.equal(LatentDiffusion().prepare(config).batches.at(0, 8).x0, before)


def test_the_model_is_whole_without_its_first_stage(first: Path, run: Path, tmp_path: Path) -> None:
    model = load(run)
    codec = model.card.codec
    assert isinstance(codec, LatentCodec)
    original = load_autoencoder(first)
    assert codec.weights_hash == original.weights_hash
    assert model.card.data["autoencoder"] == {"weights": original.weights_hash, "source": str(first)}
    assert (model.shape, model.item_shape) == ((2, 4, 4), (1, 8, 8))
    z = sample(model, 5)
    items = model.decode(z)
    e = z * torch.tensor(codec.std).reshape(2, 1, 1) + torch.tensor(codec.mean).reshape(2, 1, 1)
    assert np.array_equal(items, original.to_items(original.decode(e).mean))
    for other in (load(checkpoint.latest(run).folder or ""), load(save(model, tmp_path / "exported"))):
        assert other.weights_hash == model.weights_hash
        assert np.array_equal(other.decode(sample(other, 5)), items)


def test_the_means_of_items_are_their_codes(first: Path, run: Path) -> None:
    codec = load(run).card.codec
    data = open_dataset("digits8")
    original = load_autoencoder(first)
    e = original.encode(data.fetch(np.arange(300))[0]).latent()
    torch.testing.assert_close(codec.encode(np.asarray(data.items[:300])), codec.standardised(e))  # type: ignore[attr-defined]


def test_other_weights_are_refused_by_their_hash(run: Path, tmp_path: Path) -> None:
    saved = checkpoint.load(checkpoint.latest(run).folder or Path())
    weights = dict(saved.tensors[WEIGHTS])
    name = next(iter(weights))
    weights[name] = weights[name] + 1
    parts: dict[str, Any] = {EMA: saved.tensors[EMA], MODEL: saved.documents[MODEL]}
    with pytest.raises(UserError, match=r"was trained on latents of the autoencoder .* put back"):
        load(checkpoint.save(tmp_path / "other", {**parts, WEIGHTS: weights}))
    with pytest.raises(UserError, match="autoencoder is missing"):
        load(checkpoint.save(tmp_path / "without", parts))


def test_every_use_goes_through_the_decoder(run: Path) -> None:
    model, (_, held) = load(run), open_split(settings().config)
    found = scores(model, held.subset(np.arange(8)), steps=8, evaluations=4)
    assert [score.method for score in found] == ["latent, probability-flow ODE", "latent, variational bound"]
    assert abs(found[0].bits_per_dim - found[1].bits_per_dim) < 1.0  # both bound one model; 4 noise levels are few
    x = model.card.codec.items.encode(np.asarray(held.items[:3]))
    operator = Downsample(2)
    for method in ("auto", "diffpir"):
        restored = restore(model, operator, operator(x), noise=0.05, steps=4, method=method)
        assert restored.samples.shape == (3, 1, 1, 8, 8)
        misfit = (operator(x) - operator(restored.samples[:, 0])).square().flatten(1).mean(1).sqrt()
        torch.testing.assert_close(restored.residual[:, 0], misfit)
    with pytest.raises(UserError, match=r"ddnm needs an operator that is linear .* dps, diffpir"):
        restore(model, operator, operator(x), method="ddnm")
    with pytest.raises(UserError, match="its own shape alone"):
        restore(model, Downsample(2).on((1, 16, 16)), torch.zeros(1, 1, 8, 8))
    page = report_run(run).read_text(encoding="utf-8")
    codec = model.card.codec
    assert isinstance(codec, LatentCodec)
    assert "What the autoencoder keeps" in page
    card = (run / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"2x4x4 latents of the autoencoder {codec.weights_hash[:12]}" in card
    error = (x - codec.outward(codec.encode(np.asarray(held.items[:3])))).square().mean().sqrt()
    assert 0.5 < error / codec.error < 2  # three items for the mean over the training items
    outcomes = list(verify_run(run, num_items=16, num_paths=4))
    assert {outcome.group for outcome in outcomes} == {"schedule", "claims", "calibration", "solvers"}


def test_both_stages_in_one(tmp_path: Path) -> None:
    done = begin(settings(training__budget="640-items", autoencoder__share=0.25), tmp_path / "run", observer=Watcher())
    stage = Run.open(tmp_path / "run-vae")
    assert stage.config["training"]["budget"] == "160-items"
    assert done.run.config["training"]["budget"] == "480-items"
    assert done.run.config["autoencoder"]["source"] == str(stage.path)
    codec = load(done.run.path).card.codec
    assert codec.weights_hash == load_autoencoder(stage.path).weights_hash  # type: ignore[attr-defined]


def test_a_signal_in_the_first_stage_ends_there(tmp_path: Path) -> None:
    stopping = Watcher(lambda items: signal.raise_signal(signal.SIGINT))
    done = begin(settings(), tmp_path / "run", observer=stopping)
    assert done.signal == signal.SIGINT
    assert done.run.path == tmp_path / "run-vae"
    assert not (tmp_path / "run").exists()
    assert f"--autoencoder {done.run.path}" in stopping.messages[-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__flip": True}, "latents are encoded once"),
        ({"data__source": "moons"}, r"image items of the shape \(1, 8, 8\).* points items of the shape \(2,\)"),
        ({"data__source": "digits"}, r"of the shape \(1, 8, 8\).* of the shape \(1, 28, 28\)"),
        ({"kind": "diffusion"}, "diffusion has none"),
        ({"autoencoder__source": "no/such/run"}, "there is no run"),
    ],
)
def test_what_does_not_go_together_is_refused(
    first: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        begin(settings(**{"autoencoder__source": str(first), **changes}), tmp_path / "run", observer=Watcher())
    assert not (tmp_path / "run").exists()


def test_first_stages_that_are_none_are_refused(run: Path, tmp_path: Path) -> None:
    book = autoencoder(tmp_path / "vq", kind="vq", training__budget="32-items")
    knows = autoencoder(tmp_path / "knows", autoencoder__conditional=True, training__budget="32-items")
    for source, message in (
        (book, "code book.*pellucid train kl"),
        (knows, "autoencoder.conditional=false"),
        (run, "is a diffusion model, not an autoencoder"),
    ):
        with pytest.raises(UserError, match=message):
            begin(settings(autoencoder__source=str(source)), tmp_path / "run", observer=Watcher())


def test_the_recipe_is_a_latent_one() -> None:
    config = resolve([("recipe", RECIPES["latent"].settings)]).config
    assert config.kind == "latent"
    assert config.autoencoder.flat is False
