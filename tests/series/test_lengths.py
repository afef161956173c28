"""Series of lengths of their own from training to files: sampled, forecast and read again."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from pellucid import UserError
from pellucid.cli.main import main
from pellucid.data.series_files import SeriesReading, open_series
from pellucid.generate import sample
from pellucid.model import load
from pellucid.series.forecast import fill, forecast

from ..small import trained

LONGEST = 12


@pytest.fixture(scope="module", params=["unet", "dit"])
def run(request, tmp_path_factory):
    """A model of series of two classes, 4 to 7 and 10 to 12 steps long, some with holes, of both kinds of network."""
    folder = tmp_path_factory.mktemp(request.param)
    rng = np.random.default_rng(0)
    rows = ["series,label,time,x,y"]
    for i in range(120):
        short = i % 2 == 0
        steps = rng.integers(4, 8) if short else rng.integers(10, 13)
        for step in range(steps):
            hole = rng.random() < 0.1
            value = math.sin(step + i) + (3 if short else -3)
            rows.append(f"{i},{'short' if short else 'long'},{step},{value:.4f},{'' if hole else f'{2 * value:.4f}'}")
    (folder / "x.csv").write_text("\n".join(rows) + "\n")
    changes = {"data__source": str(folder / "x.csv"), "data__kind": "series", "data__missing": True}
    network = {"unet": {}, "dit": {"network__kind": "dit", "network__patch": 2, "network__blocks": 2}}[request.param]
    return trained(
        folder / "run",
        sampling__guidance=1.0,
        training__budget="1920-items",
        training__label_dropout=0.1,
        **changes,
        **network,
    ).run.path


def steps_of(x):
    return (~x.isnan()).any(1).sum(1).tolist()


def test_a_run_learns_measures_and_samples(run):
    """Losses are finite and fall from the data's own power; samples have lengths of their class."""
    model = load(run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    held = [line["loss"] for line in lines if line["kind"] == "held_out"]
    assert held[-1] < 0.9 * held[0]
    assert model.card.network.conditions[-1].kind == "presence"
    x = sample(model, 24, label=["short", "long"], force=True)
    lengths = steps_of(x)
    assert set(lengths[::2]) <= {4, 5, 6, 7}
    assert set(lengths[1::2]) <= {10, 11, 12}
    assert len(set(lengths)) > 3
    assert set(steps_of(sample(model, 4, length=5, force=True))) == {5}
    # sample i is itself, whatever it is made with
    torch.testing.assert_close(
        sample(model, 3, first=4, label=["short", "long"], force=True), x[4:7], equal_nan=True, rtol=1e-4, atol=1e-4
    )


def test_lengths_that_cannot_be(run, tmp_path):
    model = load(run)
    for length in (0, 13):
        with pytest.raises(UserError, match="knows series of 1 to 12 steps"):
            sample(model, 1, length=length, force=True)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(80, 1, 8)).astype(np.float32))
    plain = load(
        trained(tmp_path / "plain", data__source=str(tmp_path / "x.npy"), training__budget="32-items").run.path
    )
    with pytest.raises(UserError, match="a length is for models of series"):
        sample(plain, 1, length=4, force=True)


def test_samples_as_a_csv_that_can_be_read_again(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["sample", str(run), "-n", "6", "--force", "--out", str(tmp_path / "out"), "--json"])
    assert end.value.code == 0
    back = open_series(tmp_path / "out/samples.csv", SeriesReading())
    made = load(run).decode(sample(load(run), 6, force=True))
    np.testing.assert_allclose(back.items, made[..., : back.items.shape[-1]], rtol=1e-4, atol=1e-4)
    assert [back.label_names[i] for i in back.labels] == ["long", "short"] * 3
    told = json.loads((tmp_path / "out/made.json").read_text())
    assert told[0]["length"] is None
    with pytest.raises(SystemExit):
        main(["sample", str(run), "-n", "2", "--force", "--length", "5", "--out", str(tmp_path / "five")])
    assert open_series(tmp_path / "five/samples.csv", SeriesReading()).items.shape[-1] == 5


def test_a_forecast_ends_where_it_is_told(run):
    """A past of 4 steps and 3 ahead are a series of 7: the model is asked for that one, not for the longest."""
    model = load(run)
    past = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(0))
    past[0, 1, 2] = math.nan
    found = forecast(model, past, 3, samples=3, steps=4)
    whole = fill(model, torch.nn.functional.pad(past, (0, 3), value=math.nan), samples=3, steps=4)
    torch.testing.assert_close(found.samples, whole.samples[..., 4:])
    assert found.samples.isfinite().all()
    with pytest.raises(UserError, match="the model knows series of 12"):
        forecast(model, past, 9, samples=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "vae", "network__kind": "mlp"}, "are learned by diffusion .*, not by vae"),
        ({"kind": "ebm"}, "not by ebm"),
        ({"network__kind": "mlp", "network__attention": []}, "are for a unet or a dit"),
        ({"process__learned_variance": True}, "process.learned_variance is not for series"),
        ({"network__energy": True}, "network.energy is not for series"),
        ({"data__missing": True, "data__kind": None}, "set data.kind=series too"),
        ({"data__canaries": 3}, "'vowels' holds series items"),
    ],
)
def test_what_does_not_go_with_them(tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        trained(tmp_path / "run", **{"data__source": "vowels", "data__kind": "series", **changes})
