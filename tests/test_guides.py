"""One model guided by another: the formulas on trained networks, Bayes' rule end to end, and what cannot guide."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.asked import Asked
from pellucid.classifiers.model import load_classifier
from pellucid.config import nested, resolve
from pellucid.foundations.errors import UserError
from pellucid.generate import sample
from pellucid.guides import with_guide
from pellucid.made import make, read_settings
from pellucid.model import load
from pellucid.sampling import asked_for, guided, settings_for
from pellucid.train.start import begin

from .small import Watcher, trained


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits of 8 x 8: strong, weak (less trained), plain (without labels), judge (a classifier)."""
    folder = tmp_path_factory.mktemp("guides")
    trained(folder / "strong", training__budget="1500-items")
    trained(folder / "weak", network__width=16)
    trained(folder / "plain", data__labels="none")
    judge = {"kind": "classifier", "data.source": "digits8", "network.width": 8, "training.budget": "320-items"}
    begin(resolve([("test", nested(judge))]), folder / "judge", observer=Watcher())
    return folder


def noisy() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 1, 8, 8, generator=generator), torch.tensor(0.4), torch.tensor([3, 5, 9])


def test_autoguidance_goes_away_from_the_weaker(runs: Path) -> None:
    strong, weak = load(runs / "strong"), load(runs / "weak")
    x, t, label = noisy()
    with torch.no_grad():
        c, u = strong.denoiser(x, t, label=label), weak.denoiser(x, t, label=label)
        model = with_guide(strong, runs / "weak")
        found = guided(model, settings_for(model, guidance=2.5))(x, t, label=label)
        torch.testing.assert_close(found, u + 2.5 * (c - u))
        # one that knows no labels is asked without them
        model = with_guide(strong, runs / "plain")
        found = guided(model, settings_for(model, guidance=2.5))(x, t, label=label)
        u = load(runs / "plain").denoiser(x, t)
        torch.testing.assert_close(found, u + 2.5 * (c - u))
    # a model of no labels is guided too, and asked for nothing
    plain = with_guide(load(runs / "plain"), load(runs / "plain"))
    same = sample(plain, 2, guidance=3.0, steps=3)
    torch.testing.assert_close(same, sample(load(runs / "plain"), 2, steps=3))  # away from itself is nowhere


def test_a_classifier_adds_its_gradient_to_a_model_without_labels(runs: Path) -> None:
    plain, judge = load(runs / "plain"), load_classifier(runs / "judge")
    model = with_guide(plain, runs / "judge")
    assert model.card.label_names == tuple("0123456789")
    x, t, label = noisy()
    alpha, sigma = (
        scale(t) for scale in (plain.denoiser.process.schedule.alpha, plain.denoiser.process.schedule.sigma)
    )
    at = x.clone().requires_grad_()
    chosen = judge.network.logits(at, t).log_softmax(1)[range(3), label].sum()
    (gradient,) = torch.autograd.grad(chosen, at)
    for scale in (1.0, 4.0):
        found = guided(model, settings_for(model, guidance=scale))(x, t, label=label)
        torch.testing.assert_close(found, plain.denoiser(x, t) + scale * sigma**2 / alpha * gradient)
    assert asked_for(model, Asked(label="7"), settings_for(model)).given["label"].tolist() == [7]
    with pytest.raises(UserError, match="unknown label 'seven'"):
        sample(model, 1, label="seven")


def test_at_scale_one_classes_are_sampled_by_bayes_rule(tmp_path: Path) -> None:
    """Two clusters, told apart by a classifier alone: of the model of both, each class's samples are its own."""
    random = np.random.default_rng(0)
    label = np.arange(2000) % 2
    centres = np.array([[-1.0, 0.5], [1.0, -0.5]])
    np.savez(tmp_path / "two.npz", x=(centres[label] + 0.15 * random.standard_normal((2000, 2))).astype("f4"), y=label)
    settings = {"data.source": str(tmp_path / "two.npz"), "network.width": 32, "training.batch_size": 128}
    settings |= {"training.budget": "40k-items", "training.lr": 3e-3, "training.pictures": 0}
    begin(resolve([("test", nested({**settings, "data.labels": "none"}))]), tmp_path / "plain", observer=Watcher())
    density = {"process.density": "log-uniform", "process.density_options": {"noise_min": 0.02}}
    judge = {**settings, **density, "kind": "classifier", "data.labels": "y"}
    begin(resolve([("test", nested(judge))]), tmp_path / "judge", observer=Watcher())
    model = with_guide(load(tmp_path / "plain"), tmp_path / "judge")
    made = model.decode(sample(model, 400, label=["0", "1"], guidance=1.0, steps=20))
    near = np.linalg.norm(made[:, None] - centres, axis=2).argmin(1)
    # The clusters are 15 deviations apart, so every sample belongs to one of them; a small network misplaces few.
    assert (near == np.arange(400) % 2).mean() > 0.97
    spread = made[near == 0].std(0)
    assert np.all((spread > 0.08) & (spread < 0.3))


def test_a_picture_says_how_it_was_guided(runs: Path, tmp_path: Path) -> None:
    model = with_guide(load(runs / "strong"), runs / "weak")
    first = make(model, 2, out=tmp_path / "first", label="4", guidance=2.0, steps=3)
    told = read_settings(first.files[0])
    assert (told.settings.guidance_kind, told.settings.guide) == ("auto", str(runs / "weak"))
    assert told.settings.guide_weights == load(runs / "weak").weights_hash
    words = shlex.split(told.command())
    assert words[words.index("--guide") + 1] == str(runs / "weak")
    assert "--guidance-kind" not in words


def test_what_cannot_guide_is_refused(runs: Path, tmp_path: Path) -> None:
    strong = load(runs / "strong")
    with pytest.raises(UserError, match="needs more than the model itself"):
        sample(strong, 1, guidance_kind="auto", guidance=2.0)
    auto = with_guide(strong, runs / "weak")
    with pytest.raises(UserError, match="is the model itself"):
        sample(auto, 1, guidance=1.0)
    with pytest.raises(UserError, match="guides by auto guidance, not rescaled"):
        sample(auto, 1, guidance_kind="rescaled", guidance=2.0)
    with pytest.raises(UserError, match="leave out the guide"):
        sample(auto, 1, label="1", negative={"label": "2"}, guidance=2.0)
    trained(tmp_path / "cosine", process__schedule="cosine")
    with pytest.raises(UserError, match="read time differently"):
        with_guide(strong, tmp_path / "cosine")
    with pytest.raises(UserError, match="or in other words"):
        with_guide(load(runs / "plain"), strong)
    points = {"data.source": "moons", "network.width": 8, "training.budget": "128-items", "training.pictures": 0}
    begin(resolve([("test", nested(points))]), tmp_path / "points", observer=Watcher())
    with pytest.raises(UserError, match="makes items of the shape"):
        with_guide(strong, tmp_path / "points")
