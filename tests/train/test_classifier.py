"""Runs of classifiers of noisy data: Bayes' rule where it is known, the run folder, and what they guide."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pellucid.classifiers.model import load_classifier
from pellucid.config import Resolved, nested, resolve
from pellucid.foundations.errors import UserError
from pellucid.model import load
from pellucid.reporting import report_run
from pellucid.train.run import Run
from pellucid.train.start import begin, resume

from ..small import Watcher, hashes, trained

TINY = {
    "kind": "classifier",
    "data.source": "digits8",
    "data.holdout": 0.2,
    "network.width": 8,
    "training.budget": "320-items",
    "training.batch_size": 32,
}


def settings(**changes: Any) -> Resolved:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return resolve([("test", nested({**TINY, **dotted}))])


def interrupt(items: int) -> None:
    if items < 320:
        signal.raise_signal(signal.SIGINT)


def test_resuming_step_by_step_equals_going_through(tmp_path: Path) -> None:
    begin(settings(), tmp_path / "run", observer=Watcher(interrupt))
    for _ in range(12):
        if resume(tmp_path / "run", observer=Watcher(interrupt)).signal is None:
            break
    begin(settings(), tmp_path / "whole", observer=Watcher())
    assert hashes(tmp_path / "run") == hashes(tmp_path / "whole")


def test_it_learns_bayes_rule(tmp_path: Path) -> None:
    """Two classes N(m, v I) and N(-m, v I), one three times as frequent: the log-odds of x_t are
    2 alpha m.x / (alpha^2 v + sigma^2) + log 3."""
    random = np.random.default_rng(0)
    mean, variance, count = np.array([0.9, -0.3]), 0.15, 4000
    label = (np.arange(count) % 4 > 0).astype(np.int64)
    items = np.where(label[:, None] == 1, mean, -mean) + variance**0.5 * random.standard_normal((count, 2))
    np.savez(tmp_path / "two.npz", x=items.astype(np.float32), y=label)
    changes = {"data__source": str(tmp_path / "two.npz"), "data__labels": "y", "network__width": 32}
    density = {"process__density": "log-uniform", "process__density_options": {"noise_min": 0.02}}
    size = {"training__batch_size": 128, "training__budget": "40k-items", "training__lr": 3e-3}
    begin(settings(**changes, **density, **size), tmp_path / "run", observer=Watcher())
    model = load_classifier(tmp_path / "run")
    codec, process = model.card.codec, model.network.process
    x0 = codec.encode(items[:1000].astype(np.float32))
    scale = torch.tensor(codec.std), torch.tensor(codec.mean)
    errors, spreads = [], []
    for noise in (0.1, 0.5, 2.0):
        t = process.schedule.time(torch.tensor(-2 * np.log(noise)))
        alpha, sigma = process.schedule.alpha(t), process.schedule.sigma(t)
        x = process.corrupt(x0, t, torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)))
        # In the codec's scale each axis has a mean and a variance of its own.
        means = torch.stack([(torch.tensor(sign * mean) - scale[1]) / scale[0] for sign in (-1, 1)]).float()
        total = (alpha**2 * variance / scale[0] ** 2 + sigma**2).float()
        fits = [-0.5 * ((x - alpha * m).square() / total).sum(1) for m in means]
        exact = fits[1] - fits[0] + np.log(3)
        found = model.network(x, t, label=torch.ones(1000, dtype=torch.int64))
        found = found - model.network(x, t, label=torch.zeros(1000, dtype=torch.int64))
        errors.append((found.sigmoid() - exact.sigmoid()).square().mean().sqrt().item())
        spreads.append(exact.sigmoid().std().item())
    # A small network after 300 steps: probabilities to within a few hundredths, where they spread by tenths.
    assert max(errors) < 0.05
    assert min(spreads) > 0.1


def test_a_run_lends_its_data_and_schedule(tmp_path: Path) -> None:
    trained(tmp_path / "run", process__schedule="cosine")
    begin(settings(data__source=str(tmp_path / "run"), data__holdout=0.9), tmp_path / "judge", observer=Watcher())
    model, judge = load(tmp_path / "run"), load_classifier(tmp_path / "judge")
    assert judge.card.process.schedule == "cosine"
    assert judge.card.data["sha256"] == model.card.data["sha256"]
    assert judge.for_model(model) is judge.network
    trained(tmp_path / "other")
    with pytest.raises(UserError, match="was trained with the schedule cosine"):
        judge.for_model(load(tmp_path / "other"))
    begin(settings(data__source="digits", training__budget="32-items"), tmp_path / "large", observer=Watcher())
    with pytest.raises(UserError, match=r"reads items of the shape 1x28x28.* 1x8x8"):
        load_classifier(tmp_path / "large").for_model(load(tmp_path / "other"))
    begin(settings(training__budget="32-items"), tmp_path / "edm", observer=Watcher())
    assert load_classifier(tmp_path / "edm").for_model(load(tmp_path / "other")).num_classes == 10
    with pytest.raises(UserError, match="whose model has no noise"):
        begin(settings(data__source=str(tmp_path / "edm")), tmp_path / "never", observer=Watcher())


def test_its_page_says_how_often_it_is_right(tmp_path: Path) -> None:
    begin(settings(training__budget="6k-items", network__width=16), tmp_path / "run", observer=Watcher())
    page = report_run(tmp_path / "run").read_text("utf-8")
    run = Run.open(tmp_path / "run")
    (line,) = run.lines("levels")
    shares = [right / count for _, right, count, _ in line["rows"]]
    assert "At every noise level" in page
    assert f"{100 * shares[0]:.1f} %" in page
    # 357 held-out digits: after four passes most are told at little noise, and at thirty times their size none, where
    # ten classes of about equal frequency leave a tenth, give or take four standard errors of 0.016
    assert shares[0] > 0.6
    assert abs(shares[-1] - 0.1) < 0.07
    assert "classifier of noisy data" in (tmp_path / "run" / "MODEL_CARD.md").read_text("utf-8")
    with pytest.raises(UserError, match=r"is a classifier of noisy data, not a diffusion model.*load_classifier"):
        load(tmp_path / "run")
    trained(tmp_path / "denoiser")
    with pytest.raises(UserError, match="is no classifier of noisy data"):
        load_classifier(tmp_path / "denoiser")


def test_what_has_no_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no labels, and a classifier learns from them"):
        begin(settings(data__labels="none"), tmp_path / "run", observer=Watcher())
    with pytest.raises(UserError, match="uncertainty"):
        begin(settings(training__uncertainty=True), tmp_path / "run", observer=Watcher())
    assert not (tmp_path / "run").exists()
