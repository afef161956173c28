"""The page of a run on a table: rows that it makes, beside real ones and by measures, and the bits of held-out rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.arrays import Dataset, evenly
from ..data.table_codec import TableCodec
from ..data.table_looks import look_at
from ..foundations.errors import MissingExtra
from ..foundations.measured import Measured
from ..report import Evaluation, Section, Shown, Table, Text, Verdict
from ..run_report import card_of, evaluated, held_or_train, write_page
from ..score import Score
from ..train.card import Card, write_card
from ..train.run import Run
from . import page
from .generate import sample_rows
from .judge import judge
from .model import TableModel, load_table
from .score import table_scores

_JUDGED = 2000  # held-out rows of the bound, at most
_EVALUATIONS = 64
_SHOWN = 12
_MADE = 1000  # rows of the pictures where nothing is measured
_LINE = "table_judgement"  # of the run's metrics


def report_table(path: str | Path) -> Path:
    """Writes report.html, report.json and MODEL_CARD.md of a run on a table, and returns the first.

    Numbers, rows and pictures are made where they are missing or of other weights.

    Raises:
        UserError: no such run, a run of another kind, or data that are gone.
    """
    run = Run.open(path)
    model = load_table(path)
    found = evaluated(run, model, lambda train, held: evaluate_table(run, model, train, held))
    written = write_page(run, model, tuple(_sections(run, model)))
    write_card(run.path, _card(run, model, found.numbers))
    return written


@dataclass(frozen=True)
class _Made:
    """What was made for the page: rows, and what was measured of them."""

    rows: NDArray[np.float32]
    numbers: tuple[Measured, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    picture: bytes | None = None
    measures: dict[str, Any] | None = None
    why: str = ""


def evaluate_table(run: Run, model: TableModel, train: Dataset, held: Dataset) -> Evaluation:
    """Measures a model of a table and makes what its page shows.

    Args:
        run: where pictures and tables go.
        model: its model.
        train, held: the rows that it learned from and those that it did not; the second may be empty.
    """
    started = time.perf_counter()
    rows, _ = held_or_train(train, held)
    judged = evenly(rows, _JUDGED)
    score = table_scores(model, judged, evaluations=_EVALUATIONS)[0]
    alone = independent_bits(model.codec, train, judged)
    middle = time.perf_counter()
    made = _measured(model, train, held)
    num = min(len(made.rows), len(train))
    look = look_at(model.codec, {"data": np.asarray(train.items[:]), "made": made.rows[: max(num, _SHOWN)]})
    shown = [_written(run, model, "columns", look, "Columns and pairs", "Training rows, and as many made ones.")]
    if made.picture is not None:
        told = (
            "How columns go together in pairs, among real rows (left) and made ones; and how near rows lie to training "
            "rows, which made rows should not be any more than held-out ones."
        )
        shown.append(_written(run, model, "pairs", made.picture, "Pairs, and distances to training rows", told))
    run.append(
        {
            "kind": _LINE,
            "weights": model.weights_hash,
            "measures": made.measures,
            "why": made.why,
            "made": model.codec.rows(made.rows[:_SHOWN]),
            "real": model.codec.rows(np.asarray(evenly(rows, _SHOWN).items[:])),
        }
    )
    saved = float(alone.mean()) - score.bits_per_dim
    text = (
        f"A held-out row costs {score.bits_per_dim:.1f} bits, {abs(saved):.1f} {'less' if saved > 0 else 'more'} than "
        f"the {alone.mean():.1f} of independent columns."
    )
    timings = {"bound": middle - started, "rows and measures": time.perf_counter() - middle}
    return Evaluation(
        (_bits(score, "bits_per_row", "-log p(row), bound"), *made.numbers),
        (Verdict(text, saved > 0), *made.verdicts),
        tuple(shown),
        timings,
        weights=model.weights_hash,
    )


def independent_bits(codec: TableCodec, train: Dataset, rows: Dataset) -> NDArray[np.float64]:
    """The bits of rows, (N,), where every column follows its own law alone: -log2 of a number's span, and of the share
    of a category among training rows, one more of each counted so that none is impossible."""
    packed, seen = np.asarray(rows.items[:]), np.asarray(train.items[:])
    low, high = codec.spans(packed)
    bits = -np.log2(high - low).sum(1)
    for j, (_, size) in enumerate(codec.alphabets, len(codec.numbers)):
        counts = Counter(seen[:, j].astype(int).tolist())
        share = np.array([counts[k] + 1 for k in range(size)]) / (len(seen) + size)
        bits -= np.log2(share[packed[:, j].astype(int)])
    return np.asarray(bits)


def _measured(model: TableModel, train: Dataset, held: Dataset) -> _Made:
    """Rows and all measures of them; without what measures need, rows alone and why."""
    try:
        found = judge(model, train, held)
    except MissingExtra as error:
        return _Made(model.decode(sample_rows(model, _MADE)), why=str(error))
    measures = found.measures
    return _Made(
        found.made, measures.numbers, page.verdicts(measures), page.picture(measures), measures=measures.to_json()
    )


def _written(run: Run, model: TableModel, name: str, png: bytes, section: str, caption: str) -> Shown:
    path = run.samples / f"{name}-{model.weights_hash[:8]}.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(png)
    return Shown(run.inside(path), section, f"{section} of real and of made rows", caption)


def _sections(run: Run, model: TableModel) -> Iterator[Section]:
    """Rows as they are, the measures, and rows over training."""
    head = tuple(one.name for one in model.codec.fields)
    for line in reversed(run.lines(_LINE)):
        if line["weights"] == model.weights_hash:
            made, real = (tuple(tuple(row) for row in line[name]) for name in ("made", "real"))
            told = Text("The first ones, not chosen. An empty cell is a missing one.")
            yield Section("Rows", (told, Table("", head, made), Table("Real rows", head, real, folded=True)))
            if line["measures"] is not None:
                yield from page.sections(line["measures"])
            else:
                yield Section("Measures", (Text(line["why"]),))
            break
    over = run.lines("rows")
    if over:
        chosen = [over[round(k * (len(over) - 1) / max(1, min(4, len(over)) - 1))] for k in range(min(4, len(over)))]
        rows = tuple((f"{line['items']:,}", *line["rows"][0]) for line in chosen)
        yield Section("A row over training", (Table("From the same noise", ("rows seen", *head), rows),))
    kinds = tuple((one.name, one.sentence()) for one in model.codec.fields)
    yield Section("Columns of the table", (Table("", ("column", "what it is"), kinds, folded=True),))


def _bits(score: Score, name: str, label: str) -> Measured:
    half = 1.96 * score.over_items
    low, high = score.bits_per_dim - half, score.bits_per_dim + half
    return Measured(name, score.bits_per_dim, low, high, score.items, unit=score.unit, label=label)


def _card(run: Run, model: TableModel, numbers: tuple[Measured, ...]) -> Card:
    card = model.card
    return card_of(
        run,
        model,
        card.data,
        model.denoiser,
        numbers,
        what="diffusion model of a table's rows",
        settings={
            "Process": f"{card.process.schedule} schedule of numbers, {card.process.kind} categories",
            "Columns": ", ".join(f"{one.name} ({one.kind})" for one in model.codec.fields),
            "Network": f"rows, width {card.network.width}, {card.network.blocks} blocks",
            "Sampling": f"{card.sampling.solver}, {card.sampling.steps} steps",
        },
    )
