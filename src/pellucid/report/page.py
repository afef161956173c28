"""The page: a `ReportData` as one HTML file that loads nothing.

Every text is escaped here, in one place (`_t`), pictures are inline, and a content security policy forbids
the page whatever it does not need: scripts and network.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from functools import singledispatch
from html import escape as _t
from importlib.resources import files

from pellucid.foundations.measured import Measured, format_value

from .blocks import Chart, Charts, Gallery, Intervals, Numbers, Picture, ReportData, Section, Table, Text, Verdict
from .charts import chart_svg, colour, interval_svg
from .intervals import intervals_svg

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_COMFORTABLE = 640  # a small picture is enlarged by a whole number, to at most this width in CSS pixels


def render(report: ReportData) -> str:
    """The whole page."""
    css = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    anchors = _anchors(section.title for section in report.sections)
    links = "".join(
        f'<li><a href="#{anchor}">{_t(section.title)}</a></li>'
        for anchor, section in zip(anchors, report.sections, strict=True)
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_t(_POLICY)}">',
            '<meta name="color-scheme" content="light dark">',
            '<link rel="icon" href="data:,">',
            f"<title>{_t(report.title)}</title>",
            f"<style>{css}</style></head><body>",
            f'<header><div class="brand">pellucid report</div><h1>{_t(report.title)}</h1>',
            f'<p class="subtitle">{_t(report.subtitle)}</p>' if report.subtitle else "",
            _verdicts(report.verdicts),
            _numbers(report.numbers),
            f'<nav aria-label="Sections"><ul>{links}</ul></nav>' if links else "",
            "</header><main>",
            *(_section(a, s) for a, s in zip(anchors, report.sections, strict=True)),
            f"</main><footer>{_t(report.footer)}</footer></body></html>\n",
        ]
    )


@singledispatch
def block_html(block: object) -> str:
    """One block as HTML; a new kind of block registers its function here."""
    raise TypeError(f"a report cannot show a {type(block).__name__}")


@block_html.register
def _(block: Text) -> str:
    paragraphs = (p for p in re.split(r"\n\s*\n", block.text.strip()) if p)
    return "".join(f"<p>{_t(paragraph)}</p>" for paragraph in paragraphs)


@block_html.register
def _(block: Picture) -> str:
    return _picture(block)


@block_html.register
def _(block: Gallery) -> str:
    return f'<div class="gallery">{"".join(_picture(picture, small=True) for picture in block.pictures)}</div>'


@block_html.register
def _(block: Numbers) -> str:
    return _numbers(block.numbers)


@block_html.register
def _(block: Chart) -> str:
    return _chart(block)


@block_html.register
def _(block: Charts) -> str:
    return f'<div class="charts">{"".join(map(_chart, block.charts))}</div>'


@block_html.register
def _(block: Intervals) -> str:
    caption = f'<figcaption class="above">{_t(block.title)}</figcaption>'
    return f'<figure class="intervals-figure">{caption}{intervals_svg(block)}</figure>'


@block_html.register
def _(block: Table) -> str:
    numeric = [all(not isinstance(row[k], str) for row in block.rows) for k in range(len(block.head))]
    classes = [' class="right"' if right and block.rows else "" for right in numeric]
    head = "".join(f'<th scope="col"{c}>{_t(cell)}</th>' for c, cell in zip(classes, block.head, strict=True))
    body = "".join(f"<tr>{_row(row, classes)}</tr>" for row in block.rows)
    caption = "" if block.folded or not block.title else f"<caption>{_t(block.title)}</caption>"
    table = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_t(block.title or "Table")}">'
        f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    return f"<details><summary>{_t(block.title)}</summary>{table}</details>" if block.folded else table


def _section(anchor: str, section: Section) -> str:
    blocks = "".join(map(block_html, section.blocks))
    head = f'<h2 id="{anchor}-h">{_t(section.title)}</h2>'
    return f'<section id="{anchor}" aria-labelledby="{anchor}-h">{head}{blocks}</section>'


def _verdicts(verdicts: tuple[Verdict, ...]) -> str:
    looks = {True: ("passed", "✓", "Passed"), False: ("failed", "✗", "Failed"), None: ("told", "•", "Note")}
    items = ""
    for verdict in verdicts:
        css, mark, word = looks[verdict.passed]
        items += f'<li class="{css}"><span class="mark" role="img" aria-label="{word}">{mark}</span>'
        items += f"<span>{_t(verdict.text)}</span></li>"
    return f'<ul class="verdicts">{items}</ul>' if items else ""


def _numbers(numbers: tuple[Measured, ...]) -> str:
    cards = ""
    for number in numbers:
        cards += f'<div class="number"><dt>{_t(number.title)}</dt><dd class="value">{_t(number.text)}</dd>'
        if number.interval or number.note:
            interval = _interval(number.interval)
            note = f'<div class="note">{_t(number.note)}</div>' if number.note else ""
            cards += f"<dd>{interval_svg(number)}{interval}{note}</dd>"
        cards += "</div>"
    return f'<dl class="numbers">{cards}</dl>' if cards else ""


def _interval(text: str) -> str:
    """The error bar and the sample size, each on a line of its own."""
    lines = text.replace(" %", "\u00a0%").replace(", n =", "\nn =").split("\n")
    return "".join(f'<div class="interval-text">{_t(line)}</div>' for line in lines if line)


def _picture(picture: Picture, *, small: bool = False) -> str:
    width, height = picture.size
    scale = max(1, _COMFORTABLE // max(1, width))
    # Square pixels are honest where a picture is enlarged; where it is made smaller they would swallow thin strokes.
    pixels = ' class="pixels"' if (width <= 120 if small else scale > 1) else ""
    data = base64.b64encode(picture.png).decode()
    caption = f"<figcaption>{_t(picture.caption)}</figcaption>" if picture.caption else ""
    # The labels repeat what the alt text says, so a screen reader may pass over them.
    labels = "".join(
        f'<ul class="{css}" aria-hidden="true">{"".join(f"<li>{_t(name)}</li>" for name in names)}</ul>'
        for css, names in (("rows", picture.rows), ("columns", picture.columns))
        if names
    )
    return (
        f'<figure><div class="picture">{labels}<img{pixels} alt="{_t(picture.alt)}" '
        f'width="{width * scale}" height="{height * scale}" src="data:image/png;base64,{data}"></div>{caption}</figure>'
    )


def _chart(chart: Chart) -> str:
    legend = "".join(
        f'<li class="{colour(k)}{" faint" if series.style == "faint" else ""}">{_t(series.name)}</li>'
        for k, series in enumerate(chart.series)
    )
    keys = f'<ul class="legend" aria-hidden="true">{legend}</ul>' if len(chart.series) > 1 else ""
    return (
        f'<figure class="chart-figure"><figcaption class="above">{_t(chart.title)}</figcaption>'
        f"{chart_svg(chart)}{keys}</figure>"
    )


def _row(row: tuple[str | int | float, ...], classes: list[str]) -> str:
    cells = [cell if isinstance(cell, str) else format_value(cell) for cell in row]
    first, *others = zip(cells, classes, strict=True)
    return f'<th scope="row"{first[1]}>{_t(first[0])}</th>' + "".join(f"<td{c}>{_t(v)}</td>" for v, c in others)


def _anchors(titles: Iterable[str]) -> list[str]:
    """One anchor a title, all different."""
    found: list[str] = []
    for title in titles:
        plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        anchor, number = plain, 2
        while anchor in found:
            anchor, number = f"{plain}-{number}", number + 1
        found.append(anchor)
    return found
