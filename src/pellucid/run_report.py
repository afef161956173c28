"""What the pages of all kinds of models share: when they are measured anew, and the facts on their cards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from .audit.report import kept as kept_audit
from .audit.report import kept_section as audit_section
from .config import resolve
from .data.arrays import Dataset
from .evaluation.page import kept_numbers
from .evaluation.page import kept_section as evaluation_section
from .foundations.errors import UserError
from .foundations.measured import Measured
from .report import Evaluation, Section, read_evaluation, write_evaluation, write_report
from .train.card import Card
from .train.prepare import open_split
from .train.run import Run


class Weighed(Protocol):
    """A model of any kind, as far as its page is concerned."""

    @property
    def weights_hash(self) -> str:
        """sha256 of the weights."""
        ...


def evaluated(run: Run, model: Weighed, evaluate: Callable[[Dataset, Dataset], Evaluation]) -> Evaluation:
    """What is kept of a run's measurements, made anew where it speaks of other weights.

    Args:
        run: the run.
        model: its model.
        evaluate: called with the training and the held-out items; the second may be empty.

    Raises:
        UserError: data that are gone.
    """
    found = read_evaluation(run.path)
    if found.weights != model.weights_hash:
        found = evaluate(*open_split(resolve([("", run.config)]).config))
        write_evaluation(run.path, found)
    return found


def write_page(run: Run, model: Weighed, sections: Sequence[Section] = ()) -> Path:
    """Writes report.html and report.json of a run, and returns the path of the first.

    Args:
        run: the run.
        model: its model.
        sections: further ones; what `pellucid evaluate` and `pellucid audit` left of the same weights comes after them.
    """
    weights = model.weights_hash
    more = (*evaluation_section(run.path, weights), *audit_section(run.path, weights))
    return write_report(run.path, sections=(*sections, *more))


def held_or_train(train: Dataset, held: Dataset) -> tuple[Dataset, str]:
    """The items to measure on, and what to call them: the held-out ones where there are any."""
    return (held, "held-out") if len(held) else (train, "training")


def card_of(
    run: Run,
    model: Weighed,
    data: Mapping[str, Any],
    weights: nn.Module,
    numbers: tuple[Measured, ...],
    *,
    labels: tuple[str, ...] = (),
    settings: Mapping[str, str],
    what: str = "diffusion model",
) -> Card:
    """The card of a run's model.

    Args:
        run: the run.
        model: its model.
        data: what its own card says of the data.
        weights: its parameters.
        numbers: that were measured; those of `pellucid evaluate` are added.
        labels, settings, what: as in `Card`.

    Raises:
        UserError: a model that does not say what it was trained on.
    """
    if "sha256" not in data:
        raise UserError(f"{run.path} does not say what it was trained on")
    last = (run.lines("train") or [{}])[-1]
    audit = kept_audit(run.path, model.weights_hash)
    more = kept_numbers(run.path, model.weights_hash)
    known = {number.title for number in more}
    return Card(
        name=run.path.resolve().name,
        data_name=data["name"],
        num_train=data["train"],
        num_held_out=data["held_out"],
        num_rejected=len(data["rejected"]),
        data_hash=data["sha256"],
        weights_hash=model.weights_hash,
        num_parameters=sum(p.numel() for p in weights.parameters()),
        items_seen=int(last.get("items", 0)),
        version=version("pellucid"),
        labels=labels,
        numbers=(*(number for number in numbers if number.title not in known), *more),
        settings=settings,
        what=what,
        audit={} if audit is None else audit["verdicts"],
    )
