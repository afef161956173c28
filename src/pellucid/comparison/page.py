"""A comparison as one page that loads nothing, and as JSON."""

from __future__ import annotations

import io
import json
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ..data.arrays import Dataset
from ..data.inspect import contact_sheet
from ..foundations.durable import write_atomic
from ..report import Gallery, Intervals, Picture, ReportData, Section, Table, Text, Verdict, duration, render
from .compare import Comparison, Entry
from .tables import intervals, tables

_SHOWN = 40  # samples of a model without labels
_EACH = 4  # of each class
_WIDEST = 20  # classes shown


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Writes compare.html and compare.json into a folder, and returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(comparison.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / "compare.json", text + "\n")
    return write_atomic(folder / "compare.html", render(page(comparison)))


def page(comparison: Comparison) -> ReportData:
    """The page as plain values."""
    bits, quality, costs = tables(comparison)
    axis = Intervals(
        "Upper bounds on -log p (full) and estimates of it (open), 95 % over items",
        "bits/dim, lower is better",
        intervals(comparison),
    )
    pictures = tuple(_picture(entry) for entry in comparison.entries if entry.drawn is not None)
    sections = [
        Section(bits.title, (axis, Table("", bits.head, bits.rows), Text(bits.below))),
        Section(quality.title, (Gallery(pictures), Table("", quality.head, quality.rows), Text(quality.below))),
        Section(costs.title, (Table("", costs.head, costs.rows), Text(costs.below))),
    ]
    told = (*comparison.notes, *(note for entry in comparison.entries for note in entry.notes))
    return ReportData(
        title=" and ".join(entry.name for entry in comparison.entries),
        subtitle=f"side by side on {comparison.items:,} held-out items of {comparison.data}",
        verdicts=(
            *(Verdict(check.text, check.passed) for check in comparison.checks),
            *(Verdict(note) for note in told),
        ),
        sections=tuple(sections),
        footer=(
            f"Made by pellucid {version('pellucid')} in {duration(comparison.seconds)} on "
            f"{time.strftime('%d %B %Y, %H:%M %Z')}."
        ),
    )


def _picture(entry: Entry) -> Picture:
    """The first samples of a model, by class where it has classes."""
    drawn, codec = entry.drawn, entry.contestant.codec
    assert drawn is not None
    items, names = np.asarray(drawn.samples), entry.contestant.label_names
    if len(codec.shape) == 1:  # points are seen all at once
        chosen = np.arange(len(items))
    elif drawn.labels is None:
        chosen = np.arange(min(_SHOWN, len(items)))
    else:
        asked = drawn.labels.numpy()
        chosen = np.concatenate([np.flatnonzero(asked == k)[:_EACH] for k in range(min(len(names), _WIDEST))])
    labels = None if drawn.labels is None else drawn.labels.numpy()[chosen]
    data = Dataset(items[chosen], labels, names if labels is not None else (), codec, "samples")
    file = io.BytesIO()
    contact_sheet(data, len(chosen)).save(file, format="PNG")
    words = "The first of each class, not chosen." if labels is not None else "The first ones, not chosen."
    return Picture(file.getvalue(), f"Samples of {entry.name}", f"{entry.name}. {words}")
