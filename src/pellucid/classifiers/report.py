"""The page of a classifier's run: how often it is right, and how sure it is, at every noise level."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..data.arrays import Dataset
from ..foundations.measured import Measured, wilson
from ..foundations.rng import Stream
from ..report import Evaluation, Section, Table, Verdict, write_report
from ..run_report import card_of, evaluated, held_or_train
from ..train.card import Card, write_card
from ..train.run import Run
from .model import ClassifierModel, load_classifier

_JUDGED = 1000
_LEVELS = (0.02, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # sigma/alpha
_CLEAN = "accuracy"


def report_classifier(path: str | Path) -> Path:
    """Writes report.html, report.json and MODEL_CARD.md of a classifier's run, and returns the first.

    Raises:
        UserError: no such run, a run of another kind, or data that are gone.
    """
    run = Run.open(path)
    model = load_classifier(path)
    found = evaluated(run, model, lambda *parts: evaluate_classifier(run, model, *held_or_train(*parts)))
    page = write_report(run.path, sections=_levels(run, model))
    write_card(run.path, _card(run, model, found.numbers))
    return page


def evaluate_classifier(run: Run, model: ClassifierModel, data: Dataset, part: str) -> Evaluation:
    """Measures a classifier on items, level by level, and keeps the rows in the run.

    Args:
        run: where the rows go.
        model: its classifier.
        data: the items.
        part: what to call them.
    """
    chosen = np.linspace(0, len(data) - 1, min(_JUDGED, len(data))).astype(np.int64)
    x0, label = data.fetch(chosen)
    assert label is not None
    x0, label = x0.to(_device(model)), label.to(_device(model))
    process, rows = model.network.process, []
    stream = Stream.of(0, range(len(x0)), device=x0.device)
    for place, noise in enumerate(_LEVELS):
        t = process.schedule.time(torch.tensor(-2 * math.log(noise), dtype=torch.float64)).float().to(x0.device)
        z = stream.normal(x0.shape[1:], step=place)[0, 0]
        with torch.no_grad():
            logits = model.network.logits(process.corrupt(x0, t, z), t)
        right = int((logits.argmax(1) == label).sum())
        rows.append([noise, right, len(x0), F.cross_entropy(logits, label).item()])
    run.append({"kind": "levels", "weights": model.weights_hash, "rows": rows})
    low, high = wilson(int(rows[0][1]), len(x0))
    accuracy = Measured(_CLEAN, rows[0][1] / len(x0), low, high, len(x0), share=True)
    chance = max(math.exp(value) for value in model.card.network.log_prior)
    text = (
        f"At the least noise the right class is the likeliest for {100 * accuracy.value:.1f} % of {len(x0):,} {part} "
        f"items; the most frequent class has {100 * chance:.1f} %."
    )
    return Evaluation((accuracy,), (Verdict(text, low > chance),), (), {}, weights=model.weights_hash)


def _levels(run: Run, model: ClassifierModel) -> tuple[Section, ...]:
    """The rows of the newest evaluation of these weights."""
    for line in reversed(run.lines("levels")):
        if line["weights"] == model.weights_hash:
            head = ("noise over signal", "right, %", "cross-entropy, nats")
            rows = tuple(
                (float(noise), round(100 * right / count, 1), round(float(loss), 3))
                for noise, right, count, loss in line["rows"]
            )
            return (Section("At every noise level", (Table("How often it is right", head, rows),)),)
    return ()


def _device(model: ClassifierModel) -> torch.device:
    return model.network.log_prior.device


def _card(run: Run, model: ClassifierModel, numbers: tuple[Measured, ...]) -> Card:
    data, spec = model.card.data, model.card.network
    return card_of(
        run,
        model,
        data,
        model.network,
        numbers,
        labels=model.card.label_names,
        what="classifier of noisy data",
        settings={"Process": f"{model.card.process.schedule} schedule", "Network": f"width {spec.width}"},
    )
