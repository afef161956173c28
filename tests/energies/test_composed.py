"""Trained models together. An untrained energy denoiser is that of a normal law, so its products are known exactly."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from pellucid import UserError, save
from pellucid.cli.main import main
from pellucid.config import ProcessSettings, SamplingSettings
from pellucid.data.codecs import PointsCodec
from pellucid.energies.composed import compose, make_together
from pellucid.model import Card, Model, make_denoiser
from pellucid.nn import NetworkSpec, build

SPEC = NetworkSpec("mlp", (2,), width=8, blocks=1, num_classes=2, energy=True)
CODEC = PointsCodec((1.0, -1.0), (2.0, 0.5))


def normal(std, *, energy=True, codec=CODEC, name="model", **process):
    """A model of N(0, std^2 I), two classes alike."""
    settings = ProcessSettings(sigma_data=std, **process)
    spec = replace(SPEC, energy=energy)
    facts = {"name": "nothing", "train": 0, "held_out": 0, "rejected": [], "sha256": "0" * 64, "source": None}
    card = Card(spec, settings, codec, ("a", "b"), SamplingSettings(grid="karras", steps=30), facts)
    return Model(make_denoiser(build(spec), settings).eval().requires_grad_(False), card, "0" * 64, name)


def near(x, variance):
    """Mean 0 and the variance, each within 4 standard errors."""
    count = x.numel()
    assert abs(x.mean().item()) < 4 * (variance / count) ** 0.5
    assert x.var().item() == pytest.approx(variance, rel=4 * (2 / count) ** 0.5)


def test_a_product():
    """Precisions add: 1/(1/0.64 + 1/1.44)."""
    found = compose([normal(0.8), normal(1.2)], 700, steps=12, moves=5)
    assert found.chain == "mala"
    near(found.samples, 1 / (1 / 0.64 + 1 / 1.44))
    assert "mala moves at 12 levels" in found.sentence()


def test_a_product_of_models_that_know_their_slopes_only():
    """Unadjusted moves leave the variance a few per cent too large: 12 % are allowed in all."""
    found = compose([normal(0.8, energy=False), normal(1.2, energy=False)], 500, steps=12, moves=8)
    assert found.chain == "ula"
    assert found.samples.var().item() == pytest.approx(1 / (1 / 0.64 + 1 / 1.44), rel=0.12)


def test_a_negation():
    """Precisions are taken off: 1/(1/0.64 - 0.5/1.44)."""
    near(
        compose([normal(0.8), normal(1.2)], 700, how="negation", steps=12, moves=5).samples, 1 / (1 / 0.64 - 0.5 / 1.44)
    )


def test_a_mixture():
    """Three parts of variance 0.04 to one of 4: their mean, and a fourth moment that no single normal law has."""
    x = compose([normal(0.2), normal(2.0)], 3000, how="mixture", weights=(3, 1), steps=30).samples
    square, fourth = x.square().mean().item(), (x**4).mean().item()
    assert square == pytest.approx(0.75 * 0.04 + 0.25 * 4, rel=0.15)  # 4 standard errors
    assert fourth > 2 * 3 * square**2


def test_a_sample_depends_on_its_number_alone():
    models = [normal(0.8), normal(1.2)]
    for how in ("product", "mixture"):
        many = compose(models, 5, how=how, steps=5, moves=2).samples
        one = compose(models, 1, how=how, steps=5, moves=2, first=3).samples
        torch.testing.assert_close(many[3:4], one, rtol=1e-4, atol=1e-5)


def test_files_and_the_command_line(tmp_path, capsys):
    folders = [save(normal(s), tmp_path / n) for s, n in ((0.8, "one"), (1.2, "two"))]
    options = f"-n 6 --steps 4 --moves 2 --labels a,none --out {tmp_path / 'out'} --json".split()
    with pytest.raises(SystemExit) as ended:
        main(["compose", *map(str, folders), *options])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["chain"] == "mala"
    assert len(told["acceptance"]) == 4
    rows = (tmp_path / "out" / "samples.csv").read_text().splitlines()
    assert len(rows) == 7
    made = json.loads((tmp_path / "out" / "made.json").read_text())
    assert [one["id"] for one in made] == list(range(6))
    assert made[0]["models"] == [str(folder) for folder in folders]
    with pytest.raises(UserError, match="nothing is overwritten"):
        make_together([normal(0.8), normal(1.2)], 2, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("models", "options", "words"),
    [
        (lambda: [normal(1.0)], {}, "at least 2"),
        (lambda: [normal(1.0), normal(1.0, schedule="vp")], {}, "different processes"),
        (lambda: [normal(1.0), normal(1.0, codec=PointsCodec((0.0, 0.0), (1.0, 1.0)))], {}, "scale their data"),
        (lambda: [normal(1.0), normal(1.0)], {"labels": ["a"]}, "as many labels"),
        (lambda: [normal(1.0), normal(1.0)], {"labels": ["a", "c"]}, "unknown label 'c'"),
        (lambda: [normal(1.0), normal(1.0)], {"weights": [1.0]}, "as many finite weights"),
        (lambda: [normal(1.0), normal(1.0)], {"how": "mixture", "weights": [1, -1]}, "positive"),
        (lambda: [normal(1.0), normal(1.0)], {"how": "produkt"}, "did you mean 'product'"),
        (lambda: [normal(1.0), normal(1.0)], {"how": "negation", "weights": [2, 0.5]}, "1 and the power"),
        (lambda: [normal(1.0), normal(1.0, energy=False)], {"chain": "hmc"}, "do not know"),
        (lambda: [normal(1.0)] * 3, {"how": "negation"}, "2 models"),
    ],
)
def test_what_does_not_go_together_is_told(models, options, words):
    with pytest.raises(UserError, match=words):
        compose(models(), 2, **options)


def test_shapes_are_told():
    other = replace(normal(1.0), card=replace(normal(1.0).card, network=replace(SPEC, shape=(3,))))
    with pytest.raises(UserError, match="shape 2 and model of 3"):
        compose([normal(1.0), other], 2)
