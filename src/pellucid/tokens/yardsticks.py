"""What general models make of the same texts: n-grams fitted to the training texts, and general compressors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.tokens import TokenCodec
from ..foundations.measured import Measured, proportion
from ..metrics.ngrams import NGram, ngram
from ..metrics.text import compressed_bits

NAMES = {2: "bigram", 3: "trigram", 4: "4-gram", 5: "5-gram", 6: "6-gram"}
STRANGE = 0.99  # of real texts, a made one may be as strange as
LONG = 64  # characters of texts, on average, above which orders 5 and 6 are worth their memory


@dataclass(frozen=True)
class Yardsticks:
    """N-gram models of the training texts, over characters or, where the model reads others, bytes.

    Attributes:
        codec: how they read texts.
        models: by order.
    """

    codec: TokenCodec
    models: dict[int, NGram]

    @classmethod
    def of(cls, texts: Sequence[str], codec: TokenCodec) -> Yardsticks:
        """Those of training texts; of a model's own characters where it has some."""
        orders = (2, 3, 4) if sum(map(len, texts)) < LONG * len(texts) else (2, 3, 4, 5, 6)
        if codec.sort != "characters":
            codec = TokenCodec("bytes", max(1, *(len(text.encode()) for text in texts)))
        rows = codec.rows(texts)
        return cls(codec, {order: ngram(rows, codec.num_symbols, order) for order in orders})

    def bits(self, texts: Sequence[str], order: int) -> NDArray[np.float64]:
        """Bits of each text with its end, (N,)."""
        longest = max([self.codec.length, *(len(text.encode()) for text in texts)])
        codec = TokenCodec(self.codec.sort, longest, self.codec.alphabet)
        found: NDArray[np.float64] = -self.models[order].log_prob(codec.rows(texts)) / math.log(2)
        return found

    def rates(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Bits for a character of each text, its end counted, under the model of the highest order, (N,)."""
        found: NDArray[np.float64] = self.bits(texts, max(self.models)) / np.array([len(text) + 1 for text in texts])
        return found

    def table(self, texts: Sequence[str], known: Sequence[str]) -> dict[str, float]:
        """Bits per character of texts by name, ends paid for: of n-grams, and of compressors that have seen `known`."""
        characters = max(1, sum(map(len, texts)))
        found = {f"{NAMES[order]} model": float(self.bits(texts, order).sum()) / characters for order in self.models}
        alone, seen = compressed_bits(texts), compressed_bits(texts, known=known)
        return found | {
            "zlib": alone["zlib"],
            "lzma": alone["lzma"],
            "lzma that has seen the training texts": seen["lzma"],
        }


def novel_and_plausible(
    made: Sequence[str], real: Sequence[str], known: Sequence[str], sticks: Yardsticks, *, share: float = STRANGE
) -> Measured:
    """The share of texts that are new, and no stranger to an n-gram model than a `share` of real texts are.

    Args:
        made: the texts that are judged.
        real: texts that nothing was fitted to.
        known: those that are not new.
        sticks: of the known ones.
        share: of the real ones that pass.
    """
    limit = float(np.quantile(sticks.rates(real), share))
    there = set(known)
    new = np.array([text not in there and bool(text.strip()) for text in made])
    order = max(sticks.models)
    note = f"new, and no stranger to a {order}-gram model than {100 * share:g} % of held-out texts are"
    passed = int((new & (sticks.rates(made) <= limit)).sum())
    return proportion("novel_and_plausible", passed, len(made), note=note)
