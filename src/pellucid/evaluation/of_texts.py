"""A model of texts, evaluated."""

from __future__ import annotations

from importlib.metadata import version

from ..comparison.contestants import Contestant, kind_of
from ..foundations.errors import UserError
from ..metrics.base import Scored
from .numbers import NUMBERS, by_class, measured
from .request import FEWEST, Clock, Request
from .result import Evaluated
from .subject import Classes, samples
from .text_numbers import TEXT_NUMBERS, bits, label_tensors, looks, numbers, real_texts, rows_of


def of_texts(contestant: Contestant, request: Request) -> Evaluated:
    """Evaluates a model of texts; arguments and errors are those of `evaluated.evaluate`.

    Raises:
        UserError: also features that texts do not have.
    """
    request.check(TEXT_NUMBERS | NUMBERS)
    if request.features is not None or request.weights is not None:
        raise UserError("texts are compared by their runs of characters: leave out --features and --weights")
    clock, seed, names = Clock(), request.seed, contestant.label_names
    texts = real_texts(contestant, request.against)
    if len(texts.held) < FEWEST:
        raise UserError(f"{len(texts.held)} held-out texts are too few to judge by; at least {FEWEST} are needed")
    with clock.time("samples"):
        found = samples(
            contestant,
            request.num,
            asked=request.settings,
            classes=Classes.of(texts.trained, names),
            seed=seed,
            folder=request.folder,
            progress=lambda *n: request.say("samples", *n),
        )
        made = contestant.model.codec.texts(found.items.numpy())
    with clock.time("features"):
        rows, words = rows_of(made, texts)
    with clock.time("metrics"):
        own, refused = numbers(made, texts, request.metrics, seed)
        others = None if request.metrics is None else [name for name in request.metrics if name not in TEXT_NUMBERS]
        more, why_not = measured(rows, others, seed=seed, progress=lambda *n: request.say("metrics", *n))
    truth, notes = label_tensors(names, texts), list(texts.notes)
    classes: dict[str, tuple[Scored, ...]] = {}
    if names and found.labels is not None:
        if truth is None:
            notes.append("The held-out texts have no labels, so nothing is told of each class.")
        else:
            classes, few = by_class(rows, found.labels, truth, names, request.metrics, seed)
            notes += [f"Class {name}: {why}." for name, why in few.items()]
    with clock.time("bits"):
        likelihood, why, table = bits(contestant, texts, request.items, seed, request.say)
    asked = None if found.labels is None or not names else [[*names, "none"][k] for k in found.labels.tolist()]
    shown = looks(made, asked, texts, rows)
    return Evaluated(
        name=contestant.name,
        kind=kind_of(contestant.model),
        weights=contestant.model.weights_hash,
        settings=found.settings,
        data=f"{len(texts.held):,} texts of {texts.data.name} that were not trained on",
        num=request.num,
        num_real=len(texts.held),
        num_train=0 if texts.train is None else len(texts.train),
        features=words,
        numbers=(*own, *more),
        refused=refused | why_not,
        likelihood=likelihood,
        likelihood_refused=why,
        by_class=classes,
        cost={"calls": found.calls, "seconds": found.seconds},
        notes=tuple(notes),
        words=(*((table,) if table.rows else ()), *shown),
        timings=clock.seconds,
        version=version("pellucid"),
    )
