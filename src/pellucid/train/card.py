"""MODEL_CARD.md: what a model was made from, what was measured, and what its author has to say.

The facts are written anew each time; the parts that only the author knows stand between two markers and are
kept as they are found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pellucid.foundations.durable import write_atomic
from pellucid.foundations.measured import Measured

CARD = "MODEL_CARD.md"
_UNSTATED = "unknown"  # the word that model hubs have for it
_AUTHOR = {
    "intended use": "Not yet written. What is the model for, and what is it not for?",
    "limits and risks": "Not yet written. Where does it fail, and whom could that harm?",
}


@dataclass(frozen=True)
class Card:
    """The facts of a trained model.

    `num_train`, `num_held_out` and `num_rejected` count items; `data_hash` is the sha256 of items and labels,
    and `weights_hash` that of the weights (`checkpoint.weights_hash`). `settings` are further lines, name ->
    value, and `audit` the verdict of an audit on each finding.
    """

    name: str
    data_name: str
    num_train: int
    num_held_out: int
    num_rejected: int
    data_hash: str
    weights_hash: str
    num_parameters: int
    items_seen: int
    version: str
    labels: tuple[str, ...] = ()
    licence: str | None = None
    numbers: tuple[Measured, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    what: str = "diffusion model"
    audit: Mapping[str, str] = field(default_factory=dict)


def write_card(run: Path, card: Card) -> Path:
    """Writes MODEL_CARD.md into the run folder, and keeps what the author wrote in an earlier one, the licence too."""
    path = Path(run) / CARD
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    card = replace(card, licence=card.licence or _licence(before))
    return write_atomic(path, render_card(card, {name: _kept(before, name) or text for name, text in _AUTHOR.items()}))


def render_card(card: Card, author: Mapping[str, str] | None = None) -> str:
    """The card's text, in Markdown with a YAML head."""
    licence = card.licence or "unspecified (its author states it in the head of this file: license)"
    data = {
        "Data": card.data_name,
        "Trained on": f"{card.num_train:,} items",
        "Held out": f"{card.num_held_out:,} items, never trained on",
        "Rejected as unreadable": f"{card.num_rejected:,} items",
        "Labels": ", ".join(card.labels) or "none",
        "sha256 of the data": f"`{card.data_hash}`",
    }
    model = {
        "Parameters": f"{card.num_parameters:,}",
        "Items seen in training": f"{card.items_seen:,}",
        **card.settings,
        "sha256 of the weights": f"`{card.weights_hash}`",
        "Made with": f"pellucid {card.version}",
    }
    parts = [
        f"---\nlicense: {card.licence or _UNSTATED}\nlibrary_name: pellucid\ntags: [{card.what.split()[0]}]\n---\n",
        f"# {_line(card.name)}\n\n{_article(card.what)} trained with pellucid.\n\nLicence: {_line(licence)}\n",
        "## What it was trained on\n\n" + _table(("", ""), list(data.items())),
        "## What it is\n\n" + _table(("", ""), list(model.items())),
        "## What was measured\n\n" + _numbers(card.numbers),
        "## What it memorised\n\n" + _audit(card.audit),
    ]
    for name, text in {**_AUTHOR, **(author or {})}.items():
        parts.append(f"## {name.capitalize()}\n\n{_opening(name)}\n{text}\n{_CLOSING}\n")
    return "\n".join(parts)


_CLOSING = "<!-- end of the author's part -->"


def _opening(name: str) -> str:
    return f"<!-- {name}: written by the author, kept when this card is written anew -->"


def _licence(before: str) -> str | None:
    """The licence in a card's head, where its author has stated one."""
    match = re.match(r"---\n(?:(?!---).*\n)*?license: *(\S.*?) *\n", before)
    return None if match is None or match.group(1) == _UNSTATED else match.group(1)


def _kept(before: str, name: str) -> str | None:
    match = re.search(re.escape(_opening(name)) + r"\n(.*?)\n" + re.escape(_CLOSING), before, re.DOTALL)
    return match.group(1) if match else None


def _numbers(numbers: tuple[Measured, ...]) -> str:
    if not numbers:
        return "Nothing yet.\n"
    rows = [(m.title, m.text, m.interval, m.note) for m in numbers]
    return _table(("Number", "Value", "Interval and sample size", "Note"), rows)


def _audit(verdicts: Mapping[str, str]) -> str:
    if not verdicts:
        return "Not audited yet: pellucid audit.\n"
    return "\n".join(f"- {name.capitalize()}: {_line(text)}" for name, text in verdicts.items()) + "\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_line(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _article(what: str) -> str:
    return f"{'An' if what[0] in 'aeiou' else 'A'} {what}"


def _line(text: str) -> str:
    """One line, with nothing in it that Markdown renderers take for HTML."""
    return " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
