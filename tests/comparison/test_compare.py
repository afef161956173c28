"""Runs of several kinds side by side: the same items for all, the numbers of each kind's functions, and refusals."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pl
from pellucid.autoencoders.model import load_autoencoder
from pellucid.autoencoders.score import autoencoder_scores
from pellucid.cli.main import main
from pellucid.comparison import Comparison, axis_lines, compare, tables, write_comparison
from pellucid.comparison.contestants import Contestant, draw
from pellucid.comparison.items import common_items
from pellucid.config import nested, resolve
from pellucid.data.arrays import Dataset, split
from pellucid.data.open import open_dataset
from pellucid.foundations.errors import UserError
from pellucid.latents.codes import CodesCodec
from pellucid.recipes import RECIPES
from pellucid.score import scores
from pellucid.tokens.generate import sample_tokens
from pellucid.tokens.model import load_tokens
from pellucid.tokens.score import token_scores
from pellucid.train.start import begin

from ..small import Watcher, trained

CODER = {
    "data.source": "digits8",
    "data.holdout": 0.2,
    "network.width": 8,
    "training.budget": "320-items",
    "training.batch_size": 32,
    "training.pictures": 0,
}
ITEMS, SAMPLES = 24, 40


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("compared")
    found = {"denoiser": trained(folder / "denoiser").run.path}
    for name, more in {"vae": {"autoencoder.latent": 4}, "vq": {"autoencoder.codes": 16}}.items():
        settings = resolve([("test", nested({**CODER, "kind": name, **more}))])
        found[name] = begin(settings, folder / name, observer=Watcher()).run.path
    return found


@pytest.fixture(scope="module")
def found(runs: dict[str, Path]) -> Comparison:
    return compare(list(runs.values()), items=ITEMS, samples=SAMPLES, k=4)


def held() -> Dataset:
    return split(open_dataset("digits8"), 0.2)[1]


def test_each_model_is_judged_by_its_own_methods_on_the_same_items(found: Comparison, runs: dict[str, Path]) -> None:
    by_name = {entry.name: {score.method: score for score in entry.scores} for entry in found.entries}
    assert list(by_name["denoiser"]) == ["variational bound", "probability-flow ODE"]
    assert list(by_name["vae"]) == ["ELBO", "IWAE(4)"]
    assert list(by_name["vq"]) == ["code bound"]
    items = held()
    some = items.subset(np.linspace(0, len(items) - 1, ITEMS).astype(int))
    direct = [*scores(pl.load(runs["denoiser"]), some), *autoencoder_scores(load_autoencoder(runs["vae"]), some, k=4)]
    for score in direct:
        name = "vae" if score.method in by_name["vae"] else "denoiser"
        assert by_name[name][score.method].nats == pytest.approx(score.nats, rel=1e-6)
    assert found.passed
    assert (found.items, found.real, found.excluded) == (ITEMS, len(items), 0)


def test_costs_are_counted(found: Comparison, runs: dict[str, Path]) -> None:
    denoiser, vae, vq = found.entries
    # 4 steps of a solver of one call a step, on both branches of guidance, which acts at every level
    assert denoiser.drawn is not None
    assert denoiser.drawn.calls == 8
    assert vae.drawn is not None
    assert vae.drawn.calls == 1
    assert vae.contestant.parameters == sum(p.numel() for p in load_autoencoder(runs["vae"]).network.parameters())
    assert vq.drawn is None
    assert "cannot be sampled" in vq.notes[0]
    assert [entry.contestant.training[0] for entry in found.entries] == [320, 320, 320]  # type: ignore[index]


def test_samples_are_those_of_each_model(runs: dict[str, Path]) -> None:
    drawn = draw(Contestant.read(runs["vae"], "vae").model, 12, seed=3)
    model = load_autoencoder(runs["vae"])
    assert np.array_equal(drawn.samples, model.to_items(model.sample(12, seed=3)))
    assert drawn.labels is not None
    assert drawn.labels.tolist() == [*range(10), 0, 1]


def test_json_tables_axis_and_page_tell_the_same(found: Comparison, tmp_path: Path) -> None:
    page = write_comparison(found, tmp_path / "out").read_text()
    told = json.loads((tmp_path / "out" / "compare.json").read_text())
    lines = list(axis_lines(found))
    bits = tables(found)[0]
    values = [score["bits_per_dim"] for model in told["models"] for score in model["scores"]]
    assert len(values) == len(bits.rows) == len(lines) - 1 == 5
    for value, row, line in zip(values, bits.rows, lines, strict=False):
        assert row[4].startswith(f"{value:.4f} ± ")
        assert line.endswith(f"{value:.3f}")
        assert row[4] in page
    assert page.count("data:image/png") == 2  # the code book has no samples
    assert "<script" not in page
    best = min(told["models"], key=lambda model: min(s["nats"] for s in model["scores"] if s["bound"]))
    assert {model["behind"]["of"] for model in told["models"]} == {best["name"]}
    assert best["behind"]["bits_per_dim"] == 0


def test_a_model_folder_finds_the_items_its_run_held_out(runs: dict[str, Path], tmp_path: Path) -> None:
    saved = pl.save(pl.load(runs["denoiser"]), tmp_path / "saved")
    found = common_items([Contestant.read(runs["vae"], "vae"), Contestant.read(saved, "saved")])
    alone = common_items([Contestant.read(saved, "saved")])
    for items in (found, alone):
        assert np.array_equal(items.held.items, held().items)


def test_a_prior_over_codes_takes_part_with_its_decoder(tmp_path: Path) -> None:
    more = {"training.budget": "640-items", "autoencoder.share": 0.5, "autoencoder.codes": 8, "sampling.steps": 4}
    layers = [("recipe", {"recipe": "prior", **RECIPES["prior"].settings}), ("test", nested({**CODER, **more}))]
    path = begin(resolve(layers), tmp_path / "run", observer=Watcher()).run.path
    (entry,) = compare([path], items=8, samples=16).entries
    model = load_tokens(path)
    items = held()
    some = items.subset(np.linspace(0, len(items) - 1, 8).astype(int))
    assert [score.nats for score in entry.scores] == pytest.approx([token_scores(model, some)[0].nats], rel=1e-6)
    assert entry.drawn is not None
    assert np.array_equal(entry.drawn.samples, model.decode(sample_tokens(model, 16)))
    assert entry.drawn.calls == 2 * 4 + 1  # both branches of guidance at each step, and the decoder
    codec = model.card.codec
    assert isinstance(codec, CodesCodec)
    weights = [p.numel() for module in (model.denoiser, codec.network) for p in module.parameters()]
    assert entry.contestant.parameters == sum(weights)


def test_given_data_are_judged_without_what_was_trained_on(runs: dict[str, Path]) -> None:
    found = common_items([Contestant.read(runs["vae"], "vae")], "digits8")
    whole = open_dataset("digits8")
    assert np.array_equal(found.held.items, held().items)
    assert found.excluded == len(whole) - len(held())
    assert f"{found.excluded:,} of {len(whole):,} items of digits8 were trained on" in found.notes[0]
    with pytest.raises(UserError, match="are training items of these models"):
        common_items([Contestant.read(runs["vae"], "vae")], split(whole, 0.2)[0])


def test_what_cannot_be_compared_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    other = trained(tmp_path / "other", data__holdout=0.4).run.path
    with pytest.raises(UserError, match=r"held out \d+ items of digits8, and other other \d+"):
        compare([runs["vae"], other])
    points = trained(
        tmp_path / "points",
        data__source="moons",
        network__kind="mlp",
        network__attention=[],
        sampling__guidance=1.0,
    ).run.path
    with pytest.raises(UserError, match="only models of the same items compare"):
        compare([runs["vae"], points])
    with pytest.raises(UserError, match="named twice"):
        compare([runs["vae"], runs["vae"]])
    with pytest.raises(UserError, match="samples must be at least 16"):
        compare([runs["vae"]], samples=3)
    with pytest.raises(UserError, match="the data 'moons' hold points"):
        compare([runs["vae"]], data="moons")


def test_a_broken_order_fails_the_command(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["compare", str(runs["vae"]), "--items", "8", "--samples", "16", "--k", "4"]

    def ended() -> Any:
        with pytest.raises(SystemExit) as done:
            main(words)
        return done.value.code

    assert ended() == 0
    assert "passed: vae: IWAE(4) is at least as tight as ELBO" in capsys.readouterr().out
    module = sys.modules["pellucid.comparison.compare"]
    honest = module.bounds

    def broken(*given: Any, **options: Any) -> Any:
        one, two = honest(*given, **options)
        return [replace(one, nats=two.nats - 10), two]  # of 64 values with errors of some hundredths of a bit

    monkeypatch.setattr(module, "bounds", broken)
    words.append("--json")
    assert ended() == 1
    told = json.loads(capsys.readouterr().out)
    assert [check["passed"] for check in told["checks"]] == [False]
    assert Path(told["page"]).parent.name == "compare-2"
