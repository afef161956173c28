"""Runs of autoencoders: the same run folder, resume bit for bit, and a page with what matters of them."""

from __future__ import annotations

import json
import math
import shlex
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from pellucid.autoencoders import VAE, Quantised, Usage, build_autoencoder
from pellucid.autoencoders.model import load_autoencoder
from pellucid.autoencoders.score import autoencoder_scores, what_codes_carry
from pellucid.cli.main import main
from pellucid.config import Resolved, nested, resolve
from pellucid.data.arrays import split
from pellucid.data.open import open_dataset
from pellucid.foundations.errors import UserError
from pellucid.model import load
from pellucid.nn.choose import WIDTHS
from pellucid.nn.coder import NARROWEST, RATIO
from pellucid.reporting import report_run
from pellucid.train.autoencoder import AutoencoderKind
from pellucid.train.run import Run
from pellucid.train.start import begin, resume

from ..small import Watcher, hashes

TINY = {
    "data.source": "digits8",
    "data.holdout": 0.2,
    "network.width": 8,
    "training.budget": "320-items",
    "training.batch_size": 32,
    "training.pictures": 0,
}
KINDS: dict[str, dict[str, Any]] = {
    "vae": {"autoencoder.latent": 4, "data.flip": True, "network.dropout": 0.2},
    "kl": {"kind": "vae", "autoencoder.flat": False, "autoencoder.latent": 2, "autoencoder.beta": 0.1},
    "vq": {"autoencoder.codes": 16, "autoencoder.latent": 3},
    "fsq": {"autoencoder.levels": [4, 3]},
}


def settings(name: str, **changes: Any) -> Resolved:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return resolve([("test", nested({**TINY, "kind": name, **KINDS[name], **dotted}))])


def interrupt(items: int) -> None:
    if items < 320:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("name", list(KINDS))
def test_resuming_step_by_step_equals_going_through(name: str, tmp_path: Path) -> None:
    begin(settings(name), tmp_path / "run", observer=Watcher(interrupt))
    for _ in range(12):
        if resume(tmp_path / "run", observer=Watcher(interrupt)).signal is None:
            break
    whole = begin(settings(name), tmp_path / "whole", observer=Watcher())
    assert hashes(tmp_path / "run") == hashes(whole.run.path)


def test_two_micro_batches_have_the_mean_of_a_batch_as_loss(tmp_path: Path) -> None:
    one = begin(settings("fsq"), tmp_path / "one", observer=Watcher())
    two = begin(settings("fsq", training__accumulate=2), tmp_path / "two", observer=Watcher())
    losses = [run.run.lines("train")[0]["loss"] for run in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)  # the first step's weights are the same: round-off alone


@pytest.mark.parametrize("name", ["vae", "vq", "fsq"])
def test_the_width_is_the_widest_within_the_rule(name: str) -> None:
    given = settings(name, network__width=None).config
    kind = AutoencoderKind(name)
    rule = kind.rule(given, kind.prepare(given))
    for operations in (1e11, 1e12, 3e13):
        spec = rule["choose"](lambda _: operations)  # noqa: B023 (called at once)
        width = spec.network.width
        wider = replace(spec, network=replace(spec.network, width=WIDTHS[WIDTHS.index(width) + 1]))
        most = RATIO * math.sqrt(operations * 64)
        assert rule["flops"](spec) <= most or width == NARROWEST
        assert rule["flops"](wider) > most
    # a length in items fixes the operations once the network is known: C = N F, and F <= ratio^2 N D
    spec = rule["choose"](lambda each: 5000 * each)
    assert rule["flops"](spec) <= RATIO**2 * 5000 * 64 or spec.network.width == NARROWEST
    # what is counted is what is built: by the same counter, on the processor
    built = build_autoencoder(spec).eval()
    with FlopCounterMode(display=False) as counter:
        built.encoder(torch.zeros(1, 1, 8, 8)).sum().backward()
        built.decoder(torch.zeros(1, *spec.latent_shape)).sum().backward()
    assert rule["flops"](spec) == counter.get_total_flops()


def test_a_width_that_was_asked_for_stands() -> None:
    given = settings("vae", network__width=24).config
    kind = AutoencoderKind("vae")
    assert kind.rule(given, kind.prepare(given))["choose"](lambda _: 1e15).network.width == 24


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name in ("vae", "vq"):
        found[name] = begin(settings(name), folder / name, observer=Watcher()).run.path
        report_run(found[name])
    return found


def test_what_is_loaded_is_the_average_of_the_run(runs: dict[str, Path]) -> None:
    vae, vq = load_autoencoder(runs["vae"]), load_autoencoder(runs["vq"])
    assert isinstance(vae.network, VAE)
    assert isinstance(vq.network, Quantised)
    assert vae.card.objective == {"beta": 1.0, "free_bits": 0.0}
    assert vae.card.label_names == tuple("0123456789")  # a flat code knows the label
    assert vq.card.label_names == ()
    # the average carries the learner's own code book, which no average of weights would be
    assert vq.network.quantiser.codebook.abs().sum() > 0


def test_samples_depend_on_seed_and_number_alone(runs: dict[str, Path]) -> None:
    vae = load_autoencoder(runs["vae"])
    whole = vae.sample(6, seed=3, draw=True)
    part = vae.sample(2, seed=3, first=4, draw=True, batch_size=1)
    # products in another order: float32 round-off moves a draw by at most a level
    assert (whole[4:] - part).abs().max() <= 1 / 127.5 + 1e-6
    assert vae.to_items(whole).dtype == np.uint8
    ends = vae.interpolate(whole[:2], whole[2:4], 5)
    torch.testing.assert_close(ends[0], vae.reconstruct(whole[:2]))
    torch.testing.assert_close(ends[-1], vae.reconstruct(whole[2:4]))


def test_between_codes_of_a_book_there_are_only_codes(runs: dict[str, Path]) -> None:
    vq = load_autoencoder(runs["vq"])
    assert isinstance(vq.network, Quantised)
    x = torch.randint(0, 256, (2, 1, 8, 8)) / 127.5 - 1
    a, b = (vq.encode(each[None]).latent() for each in x)
    third = vq.interpolate(x[:1], x[1:], 4)[1]  # the middle would be as near to one end as to the other
    expected = vq.decode(vq.network.quantiser.snap(torch.lerp(a, b, 1 / 3))).mean
    torch.testing.assert_close(third, expected)


def test_codes_decode_to_the_reconstruction_of_what_was_encoded(runs: dict[str, Path]) -> None:
    vq = load_autoencoder(runs["vq"])
    x = torch.randint(0, 256, (3, 1, 8, 8)) / 127.5 - 1
    codes = vq.codes(x)
    assert codes.dtype == torch.int64
    assert codes.shape == (3, *vq.latent_shape[1:])
    torch.testing.assert_close(vq.from_codes(codes), vq.reconstruct(x))
    # by hand: the nearest vector of the book at one position
    assert isinstance(vq.network, Quantised)
    with torch.no_grad():
        vector = vq.network.encoder(x, label=None)[1, :, 2, 1]
    assert codes[1, 2, 1] == torch.cdist(vector[None], vq.network.quantiser.codebook).argmin()
    with pytest.raises(UserError, match="no code book"):
        load_autoencoder(runs["vae"]).codes(x)
    with pytest.raises(UserError, match=r"grid \(4, 4\), got \(4, 3\)"):
        vq.from_codes(codes[:, :, :3])
    with pytest.raises(UserError, match="from 0 to 15"):
        vq.from_codes(codes + 16)


def test_scores_are_ordered_and_of_held_out_items(runs: dict[str, Path]) -> None:
    vae = load_autoencoder(runs["vae"])
    _, held = split(open_dataset("digits8"), 0.2)
    some = held.subset(np.arange(40))
    bound, weighted = autoencoder_scores(vae, some, k=8)
    assert (bound.method, weighted.method, bound.items) == ("ELBO", "IWAE(8)", 40)
    assert weighted.bits_per_dim < bound.bits_per_dim + 3 * bound.of_estimator
    # any batches give the same numbers, to float32
    again = autoencoder_scores(vae, some, k=8, batch_size=7)
    assert again[1].nats == pytest.approx(weighted.nats, rel=1e-5)
    labels = torch.tensor([int(name) for name in np.asarray(some.label_names)])[torch.from_numpy(some.labels)]
    assert autoencoder_scores(vae, some, k=8, label=labels)[1].nats == pytest.approx(weighted.nats, rel=1e-6)


def test_the_command_line_judges_describes_and_refuses(runs: dict[str, Path], run_cli: Any) -> None:
    told = run_cli(["likelihood", runs["vae"], "--items", 20, "--importance-samples", 4, "--json"])
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)["scores"]
    assert [score["method"] for score in found] == ["ELBO", "IWAE(4)"]
    told = run_cli(["info", runs["vq"]])
    assert "vq, code 3x4x4" in told.stdout
    told = run_cli(["sample", runs["vq"]])
    assert told.returncode == 2
    assert f"cannot be sampled; train one: pellucid train prior --autoencoder {runs['vq']}" in told.stderr
    told = run_cli(["sample", runs["vae"], "--solver", "heun"])
    assert told.returncode == 2
    assert "--solver: not for an autoencoder; leave that out" in told.stderr


def test_samples_become_files_and_the_printed_command_makes_them_again(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def called(*words: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        assert ended.value.code == 0
        return capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    called("sample", runs["vae"], "-n", 5, "--label", "3,7", "--seed", 2, "--batch-size", 2, "--out", "first")
    vae = load_autoencoder(runs["vae"])
    direct = vae.to_items(vae.sample(5, label=["3", "7"], seed=2, batch_size=2))
    for i in range(5):
        with Image.open(tmp_path / "first" / f"{i:06d}.png") as picture:
            assert np.array_equal(np.asarray(picture), direct[i, 0])
    facts = json.loads(called("info", tmp_path / "first" / "000003.png", "--json"))
    assert (facts["id"], facts["label"], facts["weights"]) == (3, "7", vae.weights_hash)
    words = shlex.split(facts["make it again"])
    assert words[0] == "pellucid"
    called(*words[1:], "--out", "again")
    assert (tmp_path / "again" / "000003.png").read_bytes() == (tmp_path / "first" / "000003.png").read_bytes()


def test_the_page_tells_bounds_codes_and_pictures(runs: dict[str, Path]) -> None:
    vae, vq = ((path / "report.html").read_text() for path in runs.values())
    for title in ("Samples", "Reconstructions", "Interpolations", "What each latent value carries"):
        assert f">{title}<" in vae
    assert "Reconstructions over training" in vq
    numbers = [json.loads((path / "report.json").read_text()) for path in runs.values()]
    told = numbers[0]["report"]["numbers"]
    for name in ("elbo_bits_per_dim", "iwae_bits_per_dim", "reconstruction_error"):
        assert told[name]["low"] < numbers[0][name] < told[name]["high"]
    assert numbers[0]["iwae_bits_per_dim"] <= numbers[0]["elbo_bits_per_dim"]
    _, held = split(open_dataset("digits8"), 0.2)
    used = what_codes_carry(load_autoencoder(runs["vq"]), held)
    assert isinstance(used, Usage)
    assert numbers[1]["code_usage"] == used.share
    assert "An autoencoder trained with pellucid" in (runs["vq"] / "MODEL_CARD.md").read_text()


def test_a_collapsed_run_says_so(tmp_path: Path) -> None:
    path = begin(
        settings("vae", autoencoder__beta=1000.0, training__budget="3k-items", training__lr=0.01),
        tmp_path / "run",
        observer=Watcher(),
    ).run.path
    report_run(path)
    (verdict,) = json.loads((path / "report.json").read_text())["report"]["verdicts"]
    assert not verdict["passed"]
    assert verdict["text"].startswith("posterior collapse: 0 of 4")


def test_what_cannot_be_is_told(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is an autoencoder \(vae\), not a diffusion model.*load_autoencoder"):
        load(runs["vae"])
    with pytest.raises(UserError, match="has a code book and no law of its codes"):
        load_autoencoder(runs["vq"]).sample(4)
    with pytest.raises(UserError, match=r"have the shape \(1, 8, 8\), got \(1, 9, 9\)"):
        load_autoencoder(runs["vae"]).encode(torch.zeros(1, 1, 9, 9))
    with pytest.raises(UserError, match="hold points items"):
        autoencoder_scores(load_autoencoder(runs["vae"]), open_dataset("moons"))
    for changes, message in (
        ({"kind": "vea"}, "unknown kind of model 'vea'; did you mean 'vae'"),
        ({"autoencoder__law": "logistik"}, "did you mean 'logistic'"),
        ({"network__kind": "unet"}, "unknown coder 'unet'"),
        ({"data__source": "moons", "data__flip": False, "autoencoder__law": "logistic"}, "use the law 'normal'"),
        ({"training__uncertainty": True}, "an autoencoder has none"),
        ({"autoencoder__components": 0}, "components"),
    ):
        with pytest.raises(UserError, match=message):
            begin(settings("vae", **changes), tmp_path / "never", observer=Watcher())
        assert not (tmp_path / "never").exists()


def test_points_are_encoded_too(tmp_path: Path) -> None:
    given = {"data.source": "moons", "data.flip": False, "autoencoder.latent": 2, "training.budget": "640-items"}
    resolved = resolve([("test", nested({**TINY, "kind": "vae", **given}))])
    path = begin(resolved, tmp_path / "run", observer=Watcher()).run.path
    model = load_autoencoder(path)
    assert (model.card.network.law, model.latent_shape) == ("normal", (2,))
    assert Run.open(path).config["network"]["kind"] == "mlp"
    report_run(path)


@pytest.mark.slow
def test_half_of_a_code_book_is_used_after_a_short_training(tmp_path: Path) -> None:
    given = {"training.budget": "20k-items", "network.width": 16, "kind": "vq"}
    path = begin(resolve([("test", nested({**TINY, **given}))]), tmp_path / "run", observer=Watcher()).run.path
    _, held = split(open_dataset("digits8"), 0.2)
    used = what_codes_carry(load_autoencoder(path), held)
    assert isinstance(used, Usage)
    assert used.num_codes == 256
    assert used.share >= 0.5
