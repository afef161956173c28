"""`pellucid likelihood` and the model's side of `log_prob` and `vlb`, on a small run of its own."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pellucid as pl


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, run_cli: Any) -> Path:
    """Some seconds of training on pictures of 8x8."""
    path = tmp_path_factory.mktemp("likelihood") / "run"
    done = run_cli(["train", "digits8", "--budget", "4k-items", "--out", path])
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory, run_cli: Any) -> Path:
    path = tmp_path_factory.mktemp("likelihood") / "points"
    data = path.parent / "points.npy"
    values = np.random.default_rng(0).normal((1000.0, -5.0), (100.0, 0.2), (2000, 2))
    np.save(data, values.astype(np.float32))
    done = run_cli(["train", "points", "--data", data, "--budget", "60k-items", "--out", path])
    assert done.returncode == 0, done.stderr
    return path


def test_prints_both_bounds(run: Path, run_cli: Any) -> None:
    done = run_cli(["likelihood", run, "--items", "16", "--steps", "16", "--evaluations", "16"])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "16 held-out items of digits8, 1x8x8 values each"
    assert [line.split()[0] for line in lines[2:]] == ["probability-flow", "variational"]
    assert all(line.count("±") == 2 for line in lines[2:])


def test_json_and_its_arithmetic(run: Path, run_cli: Any) -> None:
    args = ["likelihood", run, "digits8", "--items", "8", "--steps", "16", "--evaluations", "16", "--json"]
    facts = json.loads(run_cli([*args, "--label", "none"]).stdout)
    assert facts["items"] == 8
    model = pl.load(run, device="cpu")
    data = pl.open_dataset("digits8").subset(np.arange(8))
    for score in facts["scores"]:
        assert score["bits_per_dim"] == pytest.approx(score["nats"] / (64 * math.log(2)))
        assert 0 < score["bits_per_dim"] < 8.5  # a model that knew nothing but the scale would need about 8
        assert score["of_estimator"] < score["over_items"]
    bound = pl.vlb(model, data, continuous=True, evaluations=16)
    assert bound.discrete
    expected = pl.bits_per_dim(bound.value.mean().item(), 64)
    assert facts["scores"][1]["bits_per_dim"] == pytest.approx(expected, rel=1e-4)  # float32, other batches
    own = json.loads(run_cli(args).stdout)
    assert own["scores"][1]["bits_per_dim"] != facts["scores"][1]["bits_per_dim"]
    named = pl.vlb(model, data, label="own", continuous=True, evaluations=16)
    expected = pl.bits_per_dim(named.value.mean().item(), 64)
    assert own["scores"][1]["bits_per_dim"] == pytest.approx(expected, rel=1e-4)


def test_does_not_depend_on_batches(run: Path) -> None:
    from pellucid.score import scores

    model, data = pl.load(run, device="cpu"), pl.open_dataset("digits8").subset(np.arange(6))
    whole, parts = (scores(model, data, steps=8, evaluations=8, batch_size=size) for size in (6, 4))
    for a, b in zip(whole, parts, strict=True):
        assert a.bits_per_dim == pytest.approx(b.bits_per_dim, rel=1e-5)


def test_points_in_their_own_units(points: Path, run_cli: Any) -> None:
    """Normal data with standard deviations 100 and 0.2: the density has the entropy of that law."""
    done = run_cli(["likelihood", points, "--json"])
    assert done.returncode == 0, done.stderr
    ode, bound = json.loads(done.stdout)["scores"]
    entropy = math.log(100) + math.log(0.2) + math.log(2 * math.pi * math.e)
    # A short training is off by some tenths of a nat, on about 400 held-out items.
    assert ode["nats"] == pytest.approx(entropy, abs=0.3)
    assert bound["nats"] == pytest.approx(entropy, abs=0.4)
    assert bound["nats"] > ode["nats"] - 3 * (bound["of_estimator"] * 2 * math.log(2)) - 0.05


def test_learned_noise_runs(run: Path) -> None:
    from pellucid.score import learn_noise, scores

    model, data = pl.load(run, device="cpu"), pl.open_dataset("digits8").subset(np.arange(4))
    noise = learn_noise(model, data, steps=3, batch_size=4)
    found = scores(model, data, noise=noise, importance_samples=2, steps=8, evaluations=8)
    assert found[0].evaluations == 2 * 9
    assert math.isfinite(found[0].bits_per_dim)


def test_refusals(run: Path, points: Path, run_cli: Any) -> None:
    for args, words in [
        ([run, "digits8", "--trace", "hutch"], "hutch++"),
        ([run, "--items", "0"], "at least 1"),
        ([run, "moons"], "points items of the shape (2,)"),
        ([run, "--label", "ten"], "unknown label 'ten'"),
        ([points, "--learned-noise"], "8-bit pictures"),
        ([points, "--label", "3"], "without labels"),
        ([run.parent / "none"], "none"),
    ]:
        done = run_cli(["likelihood", *args])
        assert done.returncode == 2, (args, done.stdout)
        assert words in done.stderr, (args, done.stderr)
        assert "Traceback" not in done.stderr
    model = pl.load(run, device="cpu")
    with pytest.raises(pl.UserError, match=r"0 to 255.*\[-1, 1\]"):
        pl.log_prob(model, torch.arange(256.0).reshape(4, 1, 8, 8))
    with pytest.raises(pl.UserError, match="shape"):
        pl.log_prob(model, torch.zeros(4, 1, 8, 9))
    with pytest.raises(pl.UserError, match="NaN"):
        pl.vlb(model, torch.full((4, 1, 8, 8), math.nan))
    with pytest.raises(pl.UserError, match="class indices"):
        pl.vlb(model, torch.zeros(4, 1, 8, 8), label=torch.full((4,), 11))
    with pytest.raises(pl.UserError, match="no labels of their own"):
        pl.vlb(model, torch.zeros(4, 1, 8, 8), label="own")
