"""What a report is made of: plain values, which know nothing of HTML.

A report is a title, verdicts, key numbers and sections; a section is a title and blocks. Whatever can be said
in these blocks can be added to a report without a change to the page.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pellucid.foundations.errors import UserError
from pellucid.foundations.measured import Measured

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Text:
    """Paragraphs, parted by empty lines."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A PNG with the words for who cannot see it.

    Args:
        png: the file's bytes.
        alt: what is to be seen; never empty.
        caption: a line below.
        rows, columns: labels along a grid of equal cells, from the top and from the left; empty for none.
    """

    png: bytes
    alt: str
    caption: str = ""
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ValueError("a picture in a report needs an alt text")
        if self.png[:8] != _PNG or self.png[12:16] != b"IHDR":
            raise ValueError("a picture in a report must be a PNG")

    @classmethod
    def read(
        cls, path: Path, alt: str, caption: str = "", rows: Sequence[str] = (), columns: Sequence[str] = ()
    ) -> Picture:
        """A picture from a file; raises `UserError` where it is missing or no PNG."""
        try:
            return cls(Path(path).read_bytes(), alt, caption, tuple(rows), tuple(columns))
        except OSError as error:
            raise UserError(f"the picture {path} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width, height = struct.unpack(">II", self.png[16:24])
        return width, height


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side, as many in a row as fit."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Table:
    """Rows under a head. Numbers stand right, words left. `folded` hides it behind its title until opened."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    folded: bool = False


@dataclass(frozen=True)
class Series:
    """One curve: `x` and `y` of one length, `low` and `high` an error band. A `None` in `y` leaves a gap.

    `style` is "line", "faint" (a thin line behind the others) or "points" (a line with a dot at each value).
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    style: str = "line"

    def __post_init__(self) -> None:
        lengths = {len(self.x), len(self.y), len(self.low) or len(self.x), len(self.high) or len(self.x)}
        if len(lengths) != 1 or bool(self.low) != bool(self.high):
            raise ValueError(f"series {self.name!r}: x, y, low and high must have one length")
        if self.style not in ("line", "faint", "points"):
            raise ValueError(f"series {self.name!r}: style must be line, faint or points, got {self.style!r}")


@dataclass(frozen=True)
class Chart:
    """Curves over two axes, each linear or logarithmic. Values a logarithm cannot take are left out.

    An empty `y_label` says that the title is label enough.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Charts:
    """Charts side by side where the page is wide enough."""

    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Numbers:
    """Measured values, each with its error bar and sample size."""

    numbers: tuple[Measured, ...]


@dataclass(frozen=True)
class Interval:
    """A value with its error bar. Rows of one `group` have one colour; an `open` one has an open dot."""

    name: str
    value: float
    low: float
    high: float
    group: int = 0
    open: bool = False


@dataclass(frozen=True)
class Intervals:
    """Values with their error bars on one axis, a row each, from the top."""

    title: str
    x_label: str
    rows: tuple[Interval, ...]


Block: TypeAlias = Text | Picture | Gallery | Table | Chart | Charts | Numbers | Intervals


@dataclass(frozen=True)
class Section:
    """A part of the page with a title of its own and an anchor to link to."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Verdict:
    """One line that says how it went: passed, failed, or (None) simply so."""

    text: str
    passed: bool | None = None


@dataclass(frozen=True)
class ReportData:
    """All that a page shows."""

    title: str
    subtitle: str = ""
    verdicts: tuple[Verdict, ...] = ()
    numbers: tuple[Measured, ...] = ()
    sections: tuple[Section, ...] = ()
    footer: str = ""
