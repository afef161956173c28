"""The checks of a trained model, on its own schedule and its own held-out data, as a table and as a page's section."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .config import resolve
from .foundations.durable import finite, write_atomic
from .foundations.errors import UserError
from .foundations.rng import Stream
from .latents.codec import as_trained
from .model import Model, load
from .report import Section, Table, Text
from .sampling import guided, labels_for, settings_for
from .train.run import Run
from .train.start import open_split
from .verify.model import Cost, calibrated, costs, end_of_schedule, markov, solver_agreement
from .verify.outcome import Outcome, timed

VERIFICATION = "verification.json"
_CALLS = (5, 8, 10, 15, 20, 30, 50)


def verify_run(path: str | Path, *, num_items: int = 256, num_paths: int = 32) -> Iterator[Outcome]:
    """The checks that make sense for a trained model.

    Args:
        path: the run folder.
        num_items: held-out items to use.
        num_paths: paths on which the solvers must agree.

    Raises:
        UserError: no such run, or one without held-out items.
    """
    run = Run.open(path)
    model = load(path)
    x0, label = held_out(run, model, num_items)
    process = model.denoiser.process
    moment = x0.double().square().mean().item()
    start = process.prior(Stream.of(7, range(num_paths), model.device).normal(model.shape, step=0)[0, 0])
    asked = labels_for(model, range(num_paths), None)
    cond = {} if asked is None else {"label": asked}
    for group, check in (
        ("schedule", lambda: end_of_schedule(process, moment)),
        ("claims", lambda: markov(process, x0)),
        ("calibration", lambda: calibrated(model.denoiser, x0, label)),
        ("solvers", lambda: solver_agreement(guided(model, settings_for(model)), start, **cond)),
    ):
        yield from timed(check, group)


def held_out(run: Run, model: Model, num_items: int) -> tuple[Tensor, Tensor | None]:
    """Held-out items of a run, as its model sees them, and their labels, on the model's device."""
    _, held = open_split(resolve([("", run.config)]).config)
    if not len(held):
        raise UserError(f"{run.path} held nothing out: train with data.holdout above 0 to verify it")
    rows = np.arange(min(num_items, len(held)))
    _, label = held.fetch(rows)
    x0 = as_trained(model.card.codec, np.asarray(held.items[rows]), Stream.of(9, range(len(rows)), model.device))
    return x0.to(model.device), None if label is None else label.to(model.device)


def cost_table(model: Model, *, num_paths: int = 48) -> list[Cost]:
    """Error against network calls of a few solvers on this model, so that a person can pick the steps."""
    start = model.denoiser.process.prior(Stream.of(8, range(num_paths), model.device).normal(model.shape, step=0)[0, 0])
    asked = labels_for(model, range(num_paths), None)
    cond = {} if asked is None else {"label": asked}
    with torch.no_grad():
        return costs(guided(model, settings_for(model)), start, ("dpmpp-2m", "heun", "unipc-3"), _CALLS, **cond)


def keep(path: str | Path, weights: str, outcomes: list[Outcome], table: list[Cost]) -> Path:
    """Writes verification.json beside the model, with the hash of the weights that were checked."""
    content = {
        "weights": weights,
        "checks": [outcome.to_json() for outcome in outcomes],
        "costs": [asdict(cost) for cost in table],
    }
    text = json.dumps(finite(content), indent=1, ensure_ascii=False, allow_nan=False)
    return write_atomic(Path(path) / VERIFICATION, text + "\n")


def kept(path: str | Path, weights: str) -> Section | None:
    """The section of what was kept; None where nothing was, or where it speaks of other weights.

    Raises:
        UserError: a file that cannot be read.
    """
    file = Path(path) / VERIFICATION
    if not file.is_file():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if values["weights"] != weights:
            return None
        costs = [
            Cost(c["solver"], c["evaluations"], *(math.nan if c[k] is None else c[k] for k in ("rms", "median")))
            for c in values["costs"]
        ]
        return section([Outcome(**outcome) for outcome in values["checks"]], costs)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{file} cannot be read ({error}): delete it and verify the run again") from None


def section(outcomes: list[Outcome], table: list[Cost]) -> Section:
    """The page's section: every check with what was expected and found, and the cost of accuracy."""
    rows = tuple(("passed" if o.passed else "FAILED", o.name, o.expected, o.observed, o.reason) for o in outcomes)
    failed = sum(not o.passed for o in outcomes)
    words = f"{len(outcomes) - failed} of {len(outcomes)} checks of this model passed. Run them again: pellucid verify."
    missed = tuple(
        Text(f"Failed: {o.name}: expected {o.expected}, found {o.observed}. Why it matters: {o.reason}.")
        for o in outcomes
        if not o.passed
    )
    by_solver = {name: {c.evaluations: c for c in table if c.solver == name} for name in {c.solver for c in table}}
    price = tuple(
        (str(calls), *(f"{by_solver[name][calls].median:.4f}" for name in sorted(by_solver))) for calls in _CALLS
    )
    prices = (Table("Median error by network calls", ("calls", *sorted(by_solver)), price),) if table else ()
    return Section(
        "Checked against exact laws",
        (
            Text(words),
            *missed,
            Table("All checks", ("", "what", "expected", "found", "why so near"), rows, folded=True),
            *prices,
        ),
    )
