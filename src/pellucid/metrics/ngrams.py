r"""N-gram models: what a text is worth to a model that remembers a few symbols, as a yardstick for others.

With c(h w) the count of symbol w after the context h, T(h) the number of different symbols seen after h, and h' the
context without its first symbol,

    p(w given h) = (c(h w) + T(h) p(w given h')) / (c(h) + T(h)),                                                   (1)

and 1/V at the root: the chance of something new is judged by how often there was something new (Witten and Bell, "The
Zero-Frequency Problem", 1991, method C; interpolated as in Chen and Goodman, "An Empirical Study of Smoothing
Techniques for Language Modeling", 1998, section 2.6). Where h was never seen, p(w given h) = p(w given h'). For every
context the probabilities sum to one, so that of all texts, each closed by its end, sum to one too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class _Counts:
    """What followed the contexts of one length; sorted, for search.

    Attributes:
        contexts: their codes; totals: c(h); kinds: T(h).
        pairs: codes of context and symbol; counts: c(h w).
    """

    contexts: Integers
    totals: Integers
    kinds: Integers
    pairs: Integers
    counts: Integers


@dataclass(frozen=True)
class NGram:
    """A smoothed n-gram model of rows of symbols; made by `ngram`.

    Attributes:
        order: n: a symbol is judged by the n - 1 before it.
        num_symbols: V, with 0, which is the end of a text and what stands before its beginning.
    """

    order: int
    num_symbols: int
    _levels: tuple[_Counts, ...]

    def log_prob(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """log p of each text with its end, in nats: (N, L) symbols, 0 behind the end, to (N,)."""
        codes, symbols, row = _events(rows, self.order, self.num_symbols)
        logs = np.log(self._probability(codes, symbols))
        total: NDArray[np.float64] = np.bincount(row, weights=logs, minlength=len(rows)).astype(np.float64)
        return total

    def following(self, context: NDArray[Any]) -> NDArray[np.float64]:
        """The law of the symbol after each context, (N, n - 1) to (N, V)."""
        context = np.asarray(context, np.int64)
        codes = [_code(context[:, self.order - 1 - length :], self.num_symbols) for length in range(self.order)]
        every = np.arange(self.num_symbols)
        return np.stack([self._probability(codes, np.full(len(context), symbol)) for symbol in every.tolist()], axis=1)

    def _probability(self, codes: list[Integers], symbols: Integers) -> NDArray[np.float64]:
        """Equation (1), from the root up; codes are those of each event's contexts, by their length."""
        found = np.full(len(symbols), 1 / self.num_symbols)
        for level, code in zip(self._levels, codes, strict=True):
            total, kinds = _looked_up(level.contexts, code, level.totals, level.kinds)
            (count,) = _looked_up(level.pairs, code * self.num_symbols + symbols, level.counts)
            seen = total > 0
            found = np.where(seen, (count + kinds * found) / np.where(seen, total + kinds, 1), found)
        return found


def ngram(rows: NDArray[Any], num_symbols: int, order: int) -> NGram:
    """The n-gram model of texts.

    Args:
        rows: (N, L), symbols 0 .. num_symbols - 1, 0 behind a text's end.
        num_symbols: V.
        order: n, at least 1.

    Raises:
        UserError: no rows, or an order that is too low, or too high for 64-bit codes of contexts.

    >>> model = ngram(np.array([[1, 2, 0], [1, 0, 0]]), 3, 2)
    >>> model.following(np.array([[1]])).tolist()  # after 1 came the end and a 2, once each
    [[0.4375, 0.1875, 0.375]]
    """
    if order < 1 or num_symbols**order >= 2**62:
        raise UserError(f"an n-gram model of {num_symbols} symbols has an order from 1 to where its codes fit 62 bits")
    if not len(rows):
        raise UserError("an n-gram model needs at least one text")
    codes, symbols, _ = _events(rows, order, num_symbols)
    levels = []
    for code in codes:
        pairs, counts = np.unique(code * num_symbols + symbols, return_counts=True)
        contexts, first, kinds = np.unique(pairs // num_symbols, return_index=True, return_counts=True)
        levels.append(_Counts(contexts, np.add.reduceat(counts, first), kinds, pairs, counts))
    return NGram(order, num_symbols, tuple(levels))


def _events(rows: NDArray[Any], order: int, num_symbols: int) -> tuple[list[Integers], Integers, Integers]:
    """Every symbol of every text, its end among them: the codes of its contexts of each length, itself, and its row."""
    rows = np.asarray(rows, np.int64)
    length = rows.shape[1]
    padded = np.pad(rows, ((0, 0), (order - 1, 1)))
    ends = np.where((rows == 0).any(1), (rows == 0).argmax(1), length)
    row, place = np.nonzero(np.arange(length + 1) <= ends[:, None])
    contexts = np.stack([padded[row, place + j] for j in range(order - 1)], 1) if order > 1 else row[:, None][:, :0]
    codes = [_code(contexts[:, order - 1 - size :], num_symbols) for size in range(order)]
    return codes, padded[row, place + order - 1], row


def _code(context: Integers, num_symbols: int) -> Integers:
    """One number for each row of symbols, (N, k) to (N,)."""
    return context @ num_symbols ** np.arange(context.shape[1] - 1, -1, -1, dtype=np.int64)


def _looked_up(keys: Integers, wanted: Integers, *values: Integers) -> tuple[Integers, ...]:
    """The values at the wanted keys, 0 where there is none."""
    at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    there = keys[at] == wanted
    return tuple(np.where(there, value[at], 0) for value in values)
