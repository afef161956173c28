"""One model of any kind, evaluated: samples, every metric that applies, bits on held-out items, costs and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..data.arrays import Dataset
from ..tables.model import TableModel
from ..tokens.model import TokenModel
from .of_items import of_items
from .of_tables import of_tables
from .of_texts import of_texts
from .request import Request, Say
from .result import Evaluated
from .subject import subject


def evaluate(
    given: Any,
    against: str | Dataset | None = None,
    num: int = 5000,
    *,
    features: str | nn.Module | None = None,
    weights: Path | None = None,
    metrics: Iterable[str] | None = None,
    items: int = 64,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    folder: Path | None = None,
    progress: Say | None = None,
) -> Evaluated:
    """Evaluates a model by items that it has not seen.

    Args:
        given: a run folder, a checkpoint, a model folder, a name of the shelf, or a model in memory.
        against: the real items, what the model was trained on left out; those that its run held out if absent.
        num: samples, all classes in turn.
        features: what is compared: a name of `features.LOOKS` or a module; chosen by the data if absent.
        weights: a file for features that need one.
        metrics: names among `numbers.NUMBERS`; all that apply if absent.
        items: held-out items that bits are measured on; 0 for none.
        settings: of the sampler (solver, steps, guidance); the model's own if absent.
        seed: of samples and of everything chosen at random.
        folder: where samples and features are kept and pictures go; nothing is kept, and none are drawn, without one.
        progress: called with what is done, and how much of it.

    Raises:
        UserError: a model that makes no samples, data of other items or another scale, too few items, features that the
            data do not have or that are not finite, unknown names; each by name.
    """
    chosen = None if metrics is None else tuple(metrics)
    quiet: Say = lambda what, done, total: None  # noqa: E731
    request = Request(against, num, features, weights, chosen, items, settings or {}, seed, folder, progress or quiet)
    contestant = subject(given)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    model = contestant.model
    if isinstance(model, TokenModel) and model.is_text:
        return of_texts(contestant, request)
    if isinstance(model, TableModel):
        return of_tables(contestant, request)
    return of_items(contestant, request)
