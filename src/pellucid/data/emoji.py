"""Emoji with their names: small colour pictures that a text can ask for, drawn from two Debian packages.

The list, the names and the groups are Unicode's (UTS 51, emoji-test.txt); the pictures are the glyphs of Noto Color
Emoji, on white. A name becomes a caption in plain words: "man firefighter: dark skin tone" is "man firefighter dark
skin tone", and "flag: Cote d'Ivoire" is "flag cote d'ivoire", without accents.

What is held out. A split must not part pictures that differ in the colour of a hand, so everything that has one name
but for its skin tones is one *concept*, and a concept is on one side as a whole. A woman firefighter and a man
firefighter are two concepts, as are a red heart and a blue one: where one of the two is held out, its words were seen
in training, but never together. A concept whose caption has words of its own ("avocado", "flag zimbabwe") is wholly new
where it is held out; `new_words` tells the two apart. Concepts that the font draws alike (the flags of Norway and
Svalbard) are joined, so that no picture is on both sides.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from ..foundations.errors import UserError
from .arrays import Dataset, encode_labels, item_hashes
from .cache import cached, forget
from .codecs import ImageCodec
from .columns import text_column
from .images import Rejected

_LIST = Path("/usr/share/unicode/emoji/emoji-test.txt")
_FONTS = Path("/usr/share/fonts")
_FONT = "NotoColorEmoji.ttf"
_POINTS = 109  # the one size of which the font has pictures
_WORDS = str.maketrans({"&": " and ", "#": " hash ", "*": " star ", "’": "'", "-": " "})

CREDITS = (
    "Emoji: glyphs of Noto Color Emoji (Google Inc. and Arjen Nienhuis, SIL Open Font License 1.1); names and groups "
    "of Unicode's emoji-test.txt (Unicode, Inc., Unicode License)."
)


@dataclass(frozen=True)
class Emoji:
    """One line of the list: its characters, Unicode's name, and the group it is in."""

    text: str
    name: str
    group: str

    @property
    def caption(self) -> str:
        """The name in plain words."""
        return plain(self.name)

    @property
    def concept(self) -> str:
        """The caption without skin tones.

        >>> Emoji("", "people holding hands: dark skin tone, light skin tone", "").concept
        'people holding hands'
        """
        head, _, tail = self.name.partition(": ")
        kept = [part for part in tail.split(", ") if not part.endswith("skin tone")]
        return plain(" ".join([head, *kept]))


def plain(name: str) -> str:
    """Lower case, without accents and punctuation.

    >>> plain("St. Vincent & Grenadines"), plain("medium-light skin tone"), plain("keycap: #")
    ('st vincent and grenadines', 'medium light skin tone', 'keycap hash')
    """
    letters = unicodedata.normalize("NFKD", name.translate(_WORDS)).encode("ascii", "ignore").decode("ascii")
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", letters.lower()).split())


def emoji(size: int = 32) -> Dataset:
    """3,655 emoji in colour, 32 x 32 pixels or another size: a caption, a label for the group, a split by concept.

    A sequence of characters that the font has no single glyph for is left out, and so is everything that it does not
    draw at all. With Debian's fonts-noto-color-emoji 2.042 and a Pillow that lays out sequences (raqm) that is none;
    without raqm 2,275 sequences would come out as several glyphs, and are left out.

    Raises:
        UserError: the packages are not installed; the message says how to get them.
        MissingExtra: the package tokenizers is not installed.
    """
    font, rows = _font(), read_list(_list())
    stamp = f"{font.stat().st_size}-{_list().stat().st_size}-{'raqm' if features.check('raqm') else 'basic'}"
    name = f"emoji-{size}-{stamp}"
    for _ in range(2):  # a cache that someone damaged is made once more
        folder = cached(name, partial(_save, font, rows, size))
        try:
            items: NDArray[np.uint8] = np.load(folder / "pictures.npy", allow_pickle=False)
            drawn: NDArray[np.bool_] = np.load(folder / "drawn.npy", allow_pickle=False)
            return _dataset(items, [row for row, there in zip(rows, drawn, strict=True) if there], rows, size)
        except (OSError, ValueError, EOFError):
            forget(name)
    raise UserError(f"the cache of 'emoji' cannot be written or read: free the disk, or delete {folder}")


def emoji64() -> Dataset:
    """3,655 emoji in colour, 64 x 64 pixels."""
    return emoji(64)


def read_list(path: Path) -> list[Emoji]:
    """The fully-qualified emoji of a file in the format of Unicode's emoji-test.txt, in its order."""
    rows, group = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# group:"):
            group = line.removeprefix("# group:").strip()
        found = re.match(r"([0-9A-F ]+); fully-qualified\s*# \S+ E[0-9.]+ (.+)", line)
        if found:
            rows.append(Emoji("".join(chr(int(code, 16)) for code in found[1].split()), found[2], group))
    return rows


def new_words(captions: Sequence[str], seen: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each caption has a word that none of the captions in `seen` has, shape (N,).

    >>> new_words(["red heart", "blue avocado"], ["red apple", "blue heart"])
    array([False,  True])
    """
    known = {word for caption in seen for word in caption.split()}
    return np.array([not known.issuperset(caption.split()) for caption in captions], dtype=bool)


def _dataset(items: NDArray[np.uint8], kept: list[Emoji], rows: list[Emoji], size: int) -> Dataset:
    labels, names = encode_labels(np.array([plain(row.group) for row in kept]))
    _, concepts = np.unique([row.concept for row in kept], return_inverse=True)
    _, pictures = np.unique(item_hashes(items), return_inverse=True)
    left = {row.name for row in rows} - {row.name for row in kept}
    return Dataset(
        items,
        labels,
        names,
        ImageCodec(3, size, size),
        "emoji" if size == 32 else f"emoji{size}",
        rejected=tuple(Rejected(row.name, "the font draws it as no single glyph") for row in rows if row.name in left),
        notes=(CREDITS,),
        groups=joined(concepts, pictures),
        columns=(text_column("caption", [row.caption for row in kept]),),
    )


def joined(*keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """One group for all items that a chain of equal keys connects, numbered by its first item; shape (N,).

    >>> joined(np.array([0, 0, 1, 2]), np.array([5, 6, 6, 7]))
    array([0, 0, 0, 3])
    """
    group = np.arange(len(keys[0]))
    while True:
        before = group
        for key in keys:
            lowest = np.full(key.max() + 1, len(group))
            np.minimum.at(lowest, key, group)
            group = lowest[key]
        if np.array_equal(group, before):
            return group


def _save(file: Path, rows: list[Emoji], size: int, folder: Path) -> None:
    font = ImageFont.truetype(str(file), _POINTS)
    nothing, unknown = _draw(font, " "), _draw(font, "\U0010fffd")  # what it draws for a character that it has not
    pictures, drawn = [], []
    for row in rows:
        picture = _draw(font, row.text)
        whole = picture is not None and picture.tobytes() not in [p.tobytes() for p in (nothing, unknown) if p]
        drawn.append(whole)
        if picture is not None and whole:
            pictures.append(np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS)).transpose(2, 0, 1))
    if not pictures:
        raise UserError(f"{file} draws none of the emoji: it is not Debian's Noto Color Emoji (bitmaps of {_POINTS})")
    np.save(folder / "pictures.npy", np.stack(pictures), allow_pickle=False)
    np.save(folder / "drawn.npy", np.array(drawn, dtype=bool), allow_pickle=False)


def _draw(font: ImageFont.FreeTypeFont, text: str) -> Image.Image | None:
    """A text on a white square of a glyph's width, centred; None where it is wider than a glyph."""
    text = text.replace("\ufe0f", "")  # "as a picture": the font has nothing else, and simple layout draws a gap for it
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    side = max(right - left, bottom - top)
    if side > 1.5 * _glyph(font):
        return None
    picture = Image.new("RGB", (side, side), "white")
    corner = ((side - right - left) // 2, (side - bottom - top) // 2)
    ImageDraw.Draw(picture).text(corner, text, font=font, embedded_color=True)
    return picture


def _glyph(font: ImageFont.FreeTypeFont) -> float:
    """The width of one glyph: all are as wide as the first face."""
    return font.getlength("\U0001f600")


def _list() -> Path:
    if not _LIST.is_file():
        raise _missing("Unicode's list of emoji")
    return _LIST


def _font() -> Path:
    found = next(iter(sorted(_FONTS.rglob(_FONT))), None) if _FONTS.is_dir() else None
    if found is None:
        raise _missing(f"the font {_FONT}")
    return found


def _missing(what: str) -> UserError:
    return UserError(
        f"the data sets 'emoji' and 'emoji64' need {what}, which is not here: on Debian or Ubuntu, "
        "apt install fonts-noto-color-emoji unicode-data; or train on your own: pellucid train images --data FOLDER"
    )
