"""N-gram models against the formula written out with dictionaries, and against the axioms of probability."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from pellucid.foundations.errors import UserError
from pellucid.metrics.ngrams import ngram


def texts(num: int, length: int, symbols: int, seed: int = 0) -> np.ndarray:
    random = np.random.RandomState(seed)
    rows = random.randint(1, symbols, (num, length))
    ends = random.randint(0, length + 1, num)
    return np.where(np.arange(length) < ends[:, None], rows, 0)


def by_hand(rows: np.ndarray, order: int, symbols: int):
    """p(w given h) by equation (1), with counts in dictionaries."""
    followed: dict[tuple, Counter] = {}
    for row in rows:
        line = [int(v) for v in row if v] + [0]
        padded = [0] * (order - 1) + line
        for place in range(len(line)):
            for size in range(order):
                context = tuple(padded[place + order - 1 - size : place + order - 1])
                followed.setdefault(context, Counter())[padded[place + order - 1]] += 1

    def p(w: int, h: tuple) -> float:
        lower = p(w, h[1:]) if h else 1 / symbols
        seen = followed.get(h)
        return lower if not seen else (seen[w] + len(seen) * lower) / (seen.total() + len(seen))

    return p


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_are_those_of_the_formula(order):
    rows = texts(30, 6, 4)
    model, p = ngram(rows, 4, order), by_hand(rows, order, 4)
    contexts = np.array(list(product(range(4), repeat=order - 1)), np.int64).reshape(4 ** (order - 1), order - 1)
    expected = [[p(w, tuple(map(int, h))) for w in range(4)] for h in contexts]
    np.testing.assert_allclose(model.following(contexts), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_sum_to_one_after_every_context_seen_or_not(order):
    model = ngram(texts(20, 5, 5), 5, order)
    contexts = np.array(list(product(range(5), repeat=order - 1)), np.int64).reshape(5 ** (order - 1), order - 1)
    np.testing.assert_allclose(model.following(contexts).sum(1), 1, rtol=1e-12)


def test_a_text_costs_its_symbols_and_its_end():
    rows = texts(40, 5, 3)
    model, p = ngram(rows, 3, 2), by_hand(rows, 2, 3)
    held = np.array([[1, 2, 0, 0], [2, 2, 1, 1], [0, 0, 0, 0]])
    steps = [[(1, 0), (2, 1), (0, 2)], [(2, 0), (2, 2), (1, 2), (1, 1), (0, 1)], [(0, 0)]]
    expected = [sum(np.log(p(w, (h,))) for w, h in line) for line in steps]
    np.testing.assert_allclose(model.log_prob(held), expected, rtol=1e-12)


def test_texts_of_all_lengths_sum_to_one():
    """The mass of texts of up to n symbols, and that of those which go on after n, are all there is."""
    model = ngram(texts(50, 4, 3), 3, 2)
    closed = sum(
        np.exp(model.log_prob(np.array(list(product((1, 2), repeat=n)), np.int64).reshape(2**n, n))).sum()
        for n in range(1, 7)
    )
    closed += np.exp(model.log_prob(np.zeros((1, 1), np.int64)))[0]
    step = model.following(np.arange(3)[:, None])[:, 1:]  # 0 is the start
    goes_on = step[0] @ np.linalg.matrix_power(step[1:], 6) @ np.ones(2)
    assert closed + goes_on == pytest.approx(1, abs=1e-12)


def test_a_higher_order_knows_a_law_of_its_order():
    """Rows in which each symbol is the sum of the two before, modulo 4 and with 1 for a sum of 0: a trigram sees it."""
    random = np.random.RandomState(1)
    rows = np.empty((400, 12), np.int64)
    rows[:, :2] = random.randint(1, 5, (400, 2))
    for place in range(2, 12):
        rows[:, place] = np.maximum(1, (rows[:, place - 1] + rows[:, place - 2]) % 5)
    bits = [-ngram(rows[:300], 5, order).log_prob(rows[300:]).mean() / np.log(2) for order in (1, 2, 3)]
    # Two free symbols are 4 bits. A pair comes before ten symbols that it decides and one end, and does not tell which:
    # its law has 10/11 and 1/11. The tolerance: ends are not spread evenly over the pairs, and smoothing takes little.
    assert bits[0] > bits[1] > bits[2]
    assert bits[2] == pytest.approx(4 + np.log2(11) + 10 * np.log2(11 / 10), abs=0.3)


def test_refusals():
    with pytest.raises(UserError, match="at least one text"):
        ngram(np.zeros((0, 3), np.int64), 3, 2)
    with pytest.raises(UserError, match="order"):
        ngram(texts(3, 3, 3), 3, 0)
