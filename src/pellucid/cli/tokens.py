"""What verbs do with a model of symbols."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .conditions import assigned, labels_in
from .diffusion import trained_on
from .kinds import refuse_unknown


def sample(
    model: Any,
    num: int = 16,
    *,
    label: str | None = None,
    where: list[str] | None = None,
    guidance: float | None = None,
    solver: str | None = None,
    steps: Any = None,
    grid: str = "even",
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Samples, printed and written."""
    # "even" is what made pictures say of themselves; there is no other grid.
    odd = {"grid": grid != "even", "steps": steps == "auto"}
    refuse_unknown("a model of symbols", [name for name, given in odd.items() if given], [])
    settings = {"guidance": guidance, "solver": solver, "steps": steps, "seed": seed, "batch_size": batch_size}
    return _make(model, num, label, where, json, out=out, first=first, **settings)


def restore(
    model: Any,
    *,
    text: list[str] | None = None,
    samples: int = 1,
    label: str | None = None,
    where: list[str] | None = None,
    solver: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """A text with holes, filled in `samples` times."""
    from ..foundations.errors import UserError

    if text is None or len(text) != 1:
        raise UserError('a model of texts fills in one text: give it as --text "J___n", with _ for each unknown symbol')
    settings = {"solver": solver, "steps": steps, "seed": seed, "batch_size": batch_size}
    return _make(model, samples, label, where, json, out=out, text=text[0], **settings)


def _make(model: Any, num: int, label: str | None, where: list[str] | None, json: bool, **settings: Any) -> int:
    from ..tokens.made import make_tokens
    from .console import say, say_json, steps_view, warn

    labels = None if label is None else labels_in(label, model.card.label_names)
    with steps_view("sampling") as update:
        made = make_tokens(model, num, label=labels, where=assigned("--where", where), progress=update, **settings)
    if json:
        say_json(made.to_json())
        return 0
    for text in made.texts:
        say(text.replace("\n", "\\n"))
    if made.texts:
        warn(f"{num} texts in {made.folder} ({made.seconds:.1f} s)")
    else:
        say(f"{num} samples in {made.folder} ({made.seconds:.1f} s); at one look: {made.files[-1]}")
    return 0


def likelihood(
    model: Any,
    run: Path,
    data: Any,
    *,
    label: str | None = None,
    evaluations: int = 64,
    seed: int = 0,
    batch_size: int | None = None,
) -> list[Any]:
    """Scores of data by the bound."""
    from ..tokens.score import token_scores
    from .console import steps_view

    options: dict[str, Any] = {"label": label, "evaluations": evaluations, "seed": seed, "batch_size": batch_size}
    with steps_view("likelihood") as update:
        return token_scores(model, data, progress=update, **options)


def verify(model: Any, run: Path, items: int) -> Iterator[Any]:
    """The checks of a run's model on its held-out data; they are kept beside it."""
    from ..tokens.verified import verify_tokens
    from ..verified_run import keep

    outcomes = []
    for outcome in verify_tokens(run, model, num_items=items):
        outcomes.append(outcome)
        yield outcome
    keep(run, model.weights_hash, outcomes, [])


def info(model: Any) -> dict[str, object]:
    """What `pellucid info` says of it."""
    card = model.card
    parameters = sum(p.numel() for p in model.denoiser.parameters())
    symbols = f"{card.network.symbols} symbols"
    if model.is_text:
        symbols = f"{model.codec.sort}, {model.codec.num_symbols} with the end, at most {model.codec.length} in a text"
    return {
        "weights": model.weights_hash,
        "network": f"{card.network.kind}, width {card.network.width}, {parameters:,} parameters",
        "shape": "x".join(map(str, model.shape)),
        "symbols": symbols,
        "process": f"{card.process.kind}, {card.process.schedule} survival",
        "labels": ", ".join(card.label_names) or "none",
        "sampling": f"{card.sampling.solver}, {card.sampling.steps} steps, guidance {card.sampling.guidance:g}",
        "trained on": trained_on(card),
    }
