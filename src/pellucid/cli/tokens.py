"""What verbs do with a model of symbols."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def refuse(why: str = "of models of numbers, and this is one of symbols", /, **given: Any) -> None:
    """Refuses what only models of another kind know, by the flag's name."""
    from ..foundations.errors import UserError

    flags = [f"--{name.replace('_', '-')}" for name, value in given.items() if value not in (None, False)]
    if flags:
        raise UserError(f"{', '.join(flags)}: {why}; leave that out")


def sample_of_tokens(stored: Any, num: int, *, label: str | None, json: bool, **options: Any) -> int:
    """Samples of a stored model of symbols, printed and written."""
    from ..tokens.made import make_tokens
    from ..tokens.model import tokens_from_stored
    from .conditions import labels_in
    from .console import say, say_json, steps_view, warn

    model = tokens_from_stored(stored)
    for note in model.notes:
        warn(note)
    labels = None if label is None else labels_in(label, model.card.label_names)
    with steps_view("sampling") as update:
        made = make_tokens(model, num, label=labels, progress=update, **options)
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


def fill_in(
    stored: Any, texts: list[str], num: int, *, label: str | None, json: bool, out: Path | None, **options: Any
) -> int:
    """Texts with holes, each filled in `num` times."""
    from ..foundations.errors import UserError

    if len(texts) != 1:
        raise UserError('a model of texts fills in one text: give it as --text "J___n", with _ for each unknown symbol')
    return sample_of_tokens(stored, num, label=label, json=json, out=out, text=texts[0], **options)


def facts_of_tokens(path: Path) -> dict[str, object]:
    """What `pellucid info` says of a model of symbols."""
    from ..tokens.model import load_tokens

    model = load_tokens(path, device="cpu")
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
        "trained on": f"{card.data['train']:,} items of {card.data['name']} (sha256 {card.data['sha256'][:12]})",
    }
