"""Verbatim copies and runs against counts by hand and what chance gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.audit.verbatim import among_fresh, at_of, unknown, verbatim
from pellucid.metrics.runs import longest_runs, shared_runs


def longest(first: list[int], second: list[int]) -> int:
    """The longest common run, by all of them."""
    best = 0
    for i in range(len(first)):
        for j in range(len(second)):
            n = 0
            while i + n < len(first) and j + n < len(second) and first[i + n] == second[j + n] != 0:
                n += 1
            best = max(best, n)
    return best


def test_runs_are_those_of_all_pairs() -> None:
    random = np.random.default_rng(0)
    rows, known = random.integers(1, 4, (12, 17)), random.integers(1, 4, (9, 23))
    rows[3, 5:], rows[7, 0], known[2, 9:] = 0, 0, 0  # a short text, an empty one, a short known one
    found, at = longest_runs(rows, known)
    for i, row in enumerate(rows):
        end = int(np.argmax(row == 0)) if (row == 0).any() else len(row)
        each = [longest(row[:end].tolist(), other[: _end(other)].tolist()) for other in known]
        assert found[i] == max(each)
        assert each[at[i]] == max(each)


def _end(row: np.ndarray) -> int:
    return int(np.argmax(row == 0)) if (row == 0).any() else len(row)


def test_shared_runs_are_counted_inside_texts() -> None:
    rows, known = np.array([[1, 2, 3, 0, 0], [9, 1, 2, 3, 9]]), np.array([[4, 1, 2, 3, 4]])
    assert shared_runs(rows, known, 3) == pytest.approx(2 / 4)  # 123; of 912 123 239 one


def test_frequent_texts_of_a_model_without_memory_are_no_finding() -> None:
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        # A law with many frequent texts: 400 distinct ones, of which a hash puts a fifth aside.
        texts = random.permutation(np.stack(np.meshgrid(np.arange(1, 21), np.arange(1, 21)), -1).reshape(-1, 2))
        made = texts[random.integers(0, 400, 300) * random.integers(0, 2, 300)]
        alarms += verbatim(made, texts[:320], texts[320:]).chance <= 0.025
    assert alarms <= 200 * 0.025 + 3 * (200 * 0.025) ** 0.5


def test_a_model_that_repeats_its_training_texts_is_found() -> None:
    texts = np.stack(np.meshgrid(np.arange(1, 21), np.arange(1, 21)), -1).reshape(-1, 2)
    texts = np.random.default_rng(0).permutation(texts)
    found = verbatim(texts[:100], texts[:320], texts[320:])
    assert found.distinct == (100, 0)
    assert found.chance < 1e-8  # 0.8^100 without putting back
    assert "It repeats its training set" in found.sentence(True)
    assert at_of(texts[5:8], texts[:320]).tolist() == [5, 6, 7]


def test_rows_with_what_is_missing_are_equal_where_the_same_is_missing() -> None:
    known = np.array([[1.0, np.nan], [0.0, 2.5]])
    assert unknown(np.array([[1.0, np.nan], [-0.0, 2.5], [1.0, 1.0], [1.2, np.nan]]), known).tolist() == [2, 3]


def test_samples_that_are_known_wholes_pass_and_those_beside_one_are_flagged() -> None:
    generator = torch.Generator().manual_seed(0)
    train, held, new = (torch.randn(num, 6, generator=generator) for num in (400, 199, 50))
    made = torch.cat([new, train[:10], train[10:20] + 0.01])
    fresh = unknown(made.numpy(), train.numpy(), held.numpy())
    assert fresh.tolist() == [*range(50), *range(60, 70)]
    found = among_fresh((made, train, held), fresh, level=0.01, seed=0)
    assert set(found.flagged.tolist()) >= set(range(60, 70))
    assert not set(found.flagged.tolist()) & set(range(50, 60))
    assert found.nearest[60:].tolist() == list(range(10, 20))
    assert len(found.p) == 70
