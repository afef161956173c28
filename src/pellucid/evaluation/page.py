"""An evaluation as one page that loads nothing, as JSON, and as a section of a run's own page."""

from __future__ import annotations

import json
import time
from pathlib import Path

from ..foundations.durable import write_atomic
from ..foundations.measured import Measured
from ..report import Interval, Intervals, Picture, ReportData, Section, Shown, Table, Text, Verdict, duration, render
from ..report.blocks import Block
from ..tables.page import sections as table_sections
from . import tables
from .result import Evaluated, read

FOLDER = "evaluation"
JSON, HTML = "evaluation.json", "evaluation.html"


def write(found: Evaluated, folder: Path) -> Path:
    """Writes evaluation.json and evaluation.html into the folder of its pictures, in place of former ones, and returns
    the path of the second."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / JSON, text + "\n")
    return write_atomic(folder / HTML, render(page(found, folder)))


def kept(run: Path, weights: str) -> Evaluated | None:
    """The evaluation that lies in a run folder; None where there is none, or where it speaks of other weights.

    Raises:
        UserError: a file that cannot be read.
    """
    found = read(run / FOLDER / JSON)
    return found if found is not None and found.weights == weights else None


def kept_numbers(run: Path, weights: str) -> tuple[Measured, ...]:
    """All numbers of the evaluation in a run's folder, for the model's card; () where there is none of these weights.

    What an evaluation found stands beside each value: its interval, both sample sizes and what real data reach.
    """
    found = kept(run, weights)
    return () if found is None else tables.all_numbers(found)


def kept_section(run: Path, weights: str) -> tuple[Section, ...]:
    """What a run's own page shows of the evaluation in its folder; () where there is none of these weights."""
    found = kept(run, weights)
    if found is None:
        return ()
    folder = run / FOLDER
    sheet = tables.numbers(found)
    blocks: list[Block] = [Text("\n\n".join((_subtitle(found), *tables.sentences(found))))]
    rows = tables.intervals(found)
    if rows:
        blocks.append(_shares(rows))
    blocks += [Table("All metrics", sheet.head, sheet.rows, folded=True)]
    blocks += [_picture(folder, shown) for shown in found.pictures]
    blocks += [Table(words.title, words.head, words.rows, folded=True) for words in found.words]
    blocks.append(Text(f"All of it: {FOLDER}/{HTML} in the run folder. Again: pellucid evaluate {found.name}."))
    return (Section("Evaluated against held-out items", tuple(blocks)),)


def page(found: Evaluated, folder: Path) -> ReportData:
    """The page as plain values.

    Args:
        found: the evaluation.
        folder: where its pictures lie.
    """
    sections: list[Section] = []
    rows = tables.intervals(found)
    for sheet in tables.sheets(found):
        blocks: list[Block] = [_shares(rows)] if rows and sheet.title == "Metrics" else []
        blocks.append(Table("", sheet.head, sheet.rows))
        if sheet.below:
            blocks.append(Text(sheet.below))
        sections.append(Section(sheet.title, tuple(blocks)))
    by_title: dict[str, list[Block]] = {}
    for shown in found.pictures:
        by_title.setdefault(shown.section, []).append(_picture(folder, shown))
    sections[1:1] = [Section(title, tuple(blocks)) for title, blocks in by_title.items()]
    if found.table is not None:
        sections += [part for part in table_sections(found.table) if part.title != "Not measured"]
    for words in found.words:
        sections.append(Section(words.title, (Table("", words.head, words.rows),)))
    refused = dict(found.refused) | ({"bits": found.likelihood_refused} if found.likelihood_refused else {})
    if refused:
        table = Table("", ("metric", "why not"), tuple((tables.title(name), why) for name, why in refused.items()))
        sections.append(Section("What does not apply", (table,)))
    settings = tuple((name, str(value)) for name, value in found.settings.items() if value is not None)
    seconds = tuple((name, duration(value)) for name, value in found.timings.items())
    sections.append(
        Section("Settings", (Table("Samples", ("", ""), settings), Table("Seconds", ("part", "time"), seconds)))
    )
    return ReportData(
        title=f"{found.name}, evaluated",
        subtitle=_subtitle(found),
        verdicts=tuple(Verdict(text) for text in (*tables.sentences(found), *found.notes)),
        numbers=tables.key_numbers(found),
        sections=tuple(sections),
        footer=f"Made by pellucid {found.version} on {time.strftime('%d %B %Y, %H:%M %Z')}.",
    )


def _subtitle(found: Evaluated) -> str:
    return f"{found.num:,} samples of a model ({found.kind}) against {found.data}, by {found.features}."


def _shares(rows: tuple[Interval, ...]) -> Intervals:
    return Intervals("Samples (full, with 95 % intervals) and real data (open)", "share, or count for density", rows)


def _picture(folder: Path, shown: Shown) -> Block:
    if not (folder / shown.file).is_file():
        return Text(f"The picture {shown.file} is missing.")
    return Picture.read(folder / shown.file, shown.alt, shown.caption, shown.rows, shown.columns)
