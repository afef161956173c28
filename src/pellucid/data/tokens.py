"""Texts as tokens: numbered symbols, 0 behind a text's end, and back.

Symbols are the characters of an alphabet, the 256 bytes of UTF-8, or pieces of words that were learned from the data
(`vocabulary`). They are numbered from 1. An item is a row of `length` numbers: the text, then zeros. So 0 is a symbol
like the others, the end of a text is something that a model learns, and a law of rows is a law of texts of any length
up to `length`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..foundations.errors import UserError, closest
from . import vocabulary
from .plain import Plain

SORTS = ("characters", "bytes", "pieces")


@dataclass(frozen=True)
class TokenCodec(Plain):
    """Rows of symbols (B, length), 0 behind a text's end, to int64 and back.

    Attributes:
        sort: "characters", "bytes" or "pieces".
        length: symbols of the longest text.
        alphabet: of characters: each once, in the order of their numbers; () otherwise.
        pieces: of pieces: their vocabulary, as `vocabulary.learn` gives it; "" otherwise.

    >>> codec = TokenCodec("characters", 5, ("a", "b"))
    >>> codec.rows(["abba", "b"]).tolist()
    [[1, 2, 2, 1, 0], [2, 0, 0, 0, 0]]
    >>> codec.texts(codec.rows(["abba", "b"]))
    ['abba', 'b']
    """

    sort: str
    length: int
    alphabet: tuple[str, ...] = ()
    pieces: str = ""
    kind: ClassVar[str] = "tokens"

    def __post_init__(self) -> None:
        if self.sort not in SORTS or self.length < 1 or (self.sort == "pieces") != bool(self.pieces):
            raise UserError(
                f"a token codec is of {', '.join(SORTS)} with a length of at least 1, got {self.sort!r} with "
                f"{self.length}"
            )
        if (self.sort == "characters") != bool(self.alphabet) or len(set(self.alphabet)) < len(self.alphabet):
            raise UserError("a codec of characters has an alphabet, each character once, and other codecs have none")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def num_symbols(self) -> int:
        """How many numbers there are, 0 included."""
        if self.sort == "pieces":
            return vocabulary.size(self.pieces)
        return 257 if self.sort == "bytes" else len(self.alphabet) + 1

    def encode(self, items: NDArray[Any]) -> Tensor:
        return torch.from_numpy(items.astype(np.int64, order="C"))

    def decode(self, x: Tensor) -> NDArray[np.uint16]:
        return x.detach().cpu().numpy().astype(np.uint16)

    def numbers(self, text: str) -> list[int]:
        """The symbols of a text, however long.

        Raises:
            UserError: a character that the alphabet does not have, with its place.
        """
        if self.sort == "pieces":
            return vocabulary.pieces(self.pieces, [text])[0]
        if self.sort == "bytes":
            return [byte + 1 for byte in text.encode("utf-8")]
        number = {symbol: place + 1 for place, symbol in enumerate(self.alphabet)}
        for place, symbol in enumerate(text):
            if symbol not in number:
                near = closest(symbol, self.alphabet)
                hint = f"; did you mean {near!r}?" if near else ""
                raise UserError(
                    f"character {place + 1} of {_short(text)} is {symbol!r}, which is not in the alphabet{hint} "
                    f"It has: {''.join(self.alphabet)!r}"
                )
        return [number[symbol] for symbol in text]

    def rows(self, texts: Sequence[str]) -> NDArray[np.uint16]:
        """Texts as items (N, length).

        Raises:
            UserError: a character outside the alphabet or a text that is too long, with its place.
        """
        found = np.zeros((len(texts), self.length), np.uint16)
        for row, text in enumerate(texts):
            numbers = self.numbers(text)
            if len(numbers) > self.length:
                raise UserError(
                    f"text {row + 1}, {_short(text)}, has {len(numbers)} {self.sort}, and the longest may have "
                    f"{self.length}: shorten it"
                )
            found[row, : len(numbers)] = numbers
        return found

    def texts(self, items: NDArray[Any]) -> list[str]:
        """Items (N, length) as texts: each up to its first 0. Bytes that are no UTF-8 become the character U+FFFD."""
        ends = np.where((items == 0).any(1), (items == 0).argmax(1), items.shape[1])
        rows = [[int(number) for number in item[:end]] for item, end in zip(items, ends, strict=True)]
        if self.sort == "pieces":
            return vocabulary.texts(self.pieces, rows)
        if self.sort == "bytes":
            return [bytes(number - 1 for number in row).decode("utf-8", errors="replace") for row in rows]
        return ["".join(self.alphabet[number - 1] for number in row) for row in rows]


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
