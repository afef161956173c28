"""An evaluation of a run of labelled pictures, and from the same samples and classifier what its page's top says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.measured import Measured, proportion
from ..judging import Judgement
from ..model import load
from .evaluated import evaluate
from .page import FOLDER, write
from .request import Say
from .result import Evaluated
from .subject import samples, subject


def judged(
    path: str | Path, num: int, *, items: int = 32, seed: int = 0, progress: Say | None = None
) -> tuple[Evaluated, Judgement]:
    """Evaluates a run, writes the evaluation into its folder, and gives the judgement that `report_run` takes.

    Nothing is made twice: samples and classifier are those of the evaluation.

    Args:
        path: of a run of a class-conditional model of pictures.
        num: samples, all classes in turn.
        items: held-out items that bits are measured on.
        seed: of samples and classifier.
        progress: called with what is done, and how much of it.

    Raises:
        UserError: as `evaluate`; and a model or data without labels.
    """
    folder = Path(path) / FOLDER
    found = evaluate(path, num=num, features="classifier", items=items, seed=seed, folder=folder, progress=progress)
    agreement = found.number("label_agreement")
    if agreement is None or agreement.floor is None:
        raise UserError("judging by a classifier needs pictures with labels, and a model trained on them")
    write(found, folder)
    model = load(path)
    made = samples(subject(path), num, asked={}, seed=seed, folder=folder)
    assert made.labels is not None
    right = round(agreement.floor * agreement.num_real)
    return found, Judgement(
        agreement=_plain(agreement.measured, "label_agreement"),
        accuracy=proportion("classifier_accuracy", right, agreement.num_real),
        by_class={
            name: _plain(scored.measured, f"label_agreement[{name}]")
            for name, row in found.by_class.items()
            for scored in row
            if scored.name == "label_agreement"
        },
        samples=_in_scale(model, made.items),
        labels=made.labels,
        guidance=model.card.sampling.guidance,
        timings=dict(found.timings),
    )


def _plain(number: Measured, name: str) -> Measured:
    """The number without the note on what stands for the halves."""
    low, high, count = number.low, number.high, number.count
    return Measured(name, number.value, low, high, count, share=True)


def _in_scale(model: Any, items: Tensor) -> Tensor:
    """Samples as the model's own tensors."""
    made: Tensor = torch.cat([model.card.codec.encode(part.numpy()) for part in items.split(256)])
    return made
