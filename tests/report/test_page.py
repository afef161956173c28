"""The page: balanced, inert, without a network, told in words."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from pellucid.foundations.measured import Measured, proportion
from pellucid.report.blocks import (
    Chart,
    Charts,
    Gallery,
    Numbers,
    Picture,
    ReportData,
    Section,
    Series,
    Table,
    Text,
    Verdict,
)
from pellucid.report.page import block_html, render

EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=y>"
VOID = {"meta", "link", "img", "br", "hr"}


class Page(HTMLParser):
    """Collects tags with their attributes, and fails on a tag that is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def png(width: int = 30, height: int = 20) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height), 128).save(file, "png")
    return file.getvalue()


def everything(text: str = "words") -> ReportData:
    picture = Picture(png(), text, text, rows=(text, "1"), columns=(text,))
    chart = Chart(text, text, text, (Series(text, (1.0, 2.0), (1.0, 2.0)), Series("b", (1.0,), (2.0,), style="faint")))
    number = Measured(text, 0.5, 0.4, 0.6, 100, text, text)
    blocks = (
        Text(f"{text}\n\n{text}"),
        picture,
        Gallery((picture, picture)),
        Table(text, (text, "n"), ((text, 1), ("b", 2.5))),
        Table(text, (text,), (), folded=True),
        chart,
        Charts((chart,)),
        Numbers((number, proportion(text, 3, 4))),
    )
    verdicts = (Verdict(text, True), Verdict(text, False), Verdict(text))
    return ReportData(text, text, verdicts, (number,), (Section(text, blocks), Section(text, ())), text)


@pytest.mark.parametrize("text", ["words", EVIL])
def test_balanced_inert_and_without_network(text: str) -> None:
    html = render(everything(text))
    page = Page(html)
    for tag, attrs in page.tags:
        assert tag not in {"script", "iframe", "object", "embed", "base", "form"}
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:", "#"))
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"https?://", html)
    (policy,) = (m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    if text == EVIL:
        assert "".join(page.words).count(EVIL) > 15  # it is shown, as text


def test_every_picture_and_chart_has_words_for_it() -> None:
    page = Page(render(everything()))
    images = page.all("img")
    assert len(images) == 3
    for image in images:
        assert image["alt"] == "words"
        data = base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,"))
        assert Image.open(io.BytesIO(data)).size == (30, 20)
        # A whole multiple of the true size, so that no pixel is wider than another.
        assert int(str(image["width"])) % 30 == 0
        assert int(str(image["width"])) * 20 == int(str(image["height"])) * 30
    for drawing in page.all("svg"):
        assert drawing.get("aria-hidden") == "true" or (drawing["role"] == "img" and drawing["aria-label"])
    assert all("scope" in cell for cell in page.all("th"))


def test_made_for_phones_and_the_dark() -> None:
    html = render(everything())
    page = Page(html)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert "prefers-color-scheme: dark" in html
    light, dark = (set(re.findall(r"(--\w+):", part)) for part in re.findall(r":root \{(.*?)\n\s*\}", html, re.DOTALL))
    assert light == dark  # no colour is left as it was
    used = set(re.findall(r"var\((--\w+)\)", html)) - {"--k"}  # --k is set by the series' class
    assert used <= light
    assert page.all("html") == [{"lang": "en"}]


def contrast(one: str, other: str) -> float:
    """WCAG 2.1's contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_meets_wcag_in_both_schemes() -> None:
    for part in re.findall(r":root \{(.*?)\n\s*\}", render(everything()), re.DOTALL):
        colours = dict(re.findall(r"(--\w+): (#[0-9a-f]{6})", part))
        for back in ("--paper", "--card"):
            for text in ("--ink", "--muted", "--accent", "--good", "--bad"):
                assert contrast(colours[text], colours[back]) >= 4.5, (text, back)  # level AA for text
            for k in range(1, 7):
                assert contrast(colours[f"--c{k}"], colours[back]) >= 3.0, (k, back)  # AA for graphics
        assert contrast(colours["--muted"], colours["--soft"]) >= 4.5


def test_anchors_are_unique_and_linked() -> None:
    page = Page(render(everything("Same title")))
    anchors = [s["id"] for s in page.all("section")]
    assert anchors == ["same-title", "same-title-2"]
    assert [a["href"] for a in page.all("a")] == ["#same-title", "#same-title-2"]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_a_picture_needs_words_and_must_be_a_png() -> None:
    with pytest.raises(ValueError, match="alt text"):
        Picture(png(), " ")
    with pytest.raises(ValueError, match="must be a PNG"):
        Picture(b"GIF89a" + bytes(20), "x")
    with pytest.raises(TypeError, match="cannot show a int"):
        block_html(3)
