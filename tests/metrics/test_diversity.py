"""Vendi and class scores at exact values, by definition and without bias."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.metrics.diversity import class_score, class_score_infinity, vendi, vendi_score

GENERATOR = torch.Generator().manual_seed(6)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def test_counts_distinct_items() -> None:
    assert vendi_score(torch.eye(7)) == pytest.approx(7, rel=1e-10)
    assert vendi_score(torch.ones(9, 4)) == pytest.approx(1, rel=1e-6)
    assert vendi_score(torch.eye(3).repeat(5, 1)) == pytest.approx(3, rel=1e-10)
    # Shares p of unlike items: the exponential of their entropy.
    p = [0.5, 0.3, 0.2]
    items = torch.cat([torch.eye(3)[[0]] * 2.0] * 5 + [torch.eye(3)[[1]]] * 3 + [torch.eye(3)[[2]]] * 2)
    assert vendi_score(items) == pytest.approx(math.exp(-sum(q * math.log(q) for q in p)), rel=1e-10)


@pytest.mark.parametrize(("count", "size"), [(12, 5), (5, 12)])
def test_equals_the_definition_by_the_matrix_of_cosines(count: int, size: int) -> None:
    x, centre = draw(count, size), draw(size)
    rows = (x - centre).numpy()
    cosines = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in rows] for a in rows])
    values = np.linalg.eigvalsh(cosines / count)
    values = values[values > 1e-12]
    assert vendi_score(x, centre=centre) == pytest.approx(math.exp(-(values * np.log(values)).sum()), rel=1e-8)


def test_fewer_modes_score_less_and_the_floor_has_as_many_items() -> None:
    real = 5 * torch.eye(8).double()[torch.arange(200) % 8] + 0.1 * draw(200, 8)
    scored = vendi(real[torch.arange(200) % 8 < 2], real)
    assert scored.num_generated == scored.num_real == 50
    assert scored.floor is not None
    assert scored.value < scored.floor / 2
    assert vendi(real[:30], real).low is None


@pytest.mark.parametrize("size", [6, 300])
def test_the_interval_is_the_jackknife_of_both_forms(size: int) -> None:
    """More items than numbers and fewer take two ways to the same quantity: padding by zeros changes the way only."""
    x, y = draw(80, 6), draw(80, 6)
    pad = torch.zeros(80, size - 6, dtype=torch.float64)
    one, other = vendi(x, y), vendi(torch.cat([x, pad], 1), torch.cat([y, pad], 1))
    assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high), rel=1e-9)


def test_class_score_at_its_ends_and_by_definition() -> None:
    assert class_score(torch.eye(4).repeat(3, 1)) == pytest.approx(4, rel=1e-12)
    assert class_score(torch.full((5, 4), 0.25)) == pytest.approx(1, rel=1e-12)
    p = torch.softmax(draw(30, 5), 1).numpy()
    exact = math.exp(np.mean([(row * (np.log(row) - np.log(p.mean(0)))).sum() for row in p]))
    assert class_score(torch.from_numpy(p)) == pytest.approx(exact, rel=1e-10)


def test_class_score_loses_its_bias() -> None:
    """One class of six at a time, drawn at random: the mean over 40 items is fitted to them."""
    corrected, plain = [], []
    logits = 2 * torch.eye(6).double()
    many = torch.softmax(logits, 1)
    exact = class_score(many)
    for seed in range(200):
        p = many[torch.randint(6, (40,), generator=GENERATOR)]
        scored = class_score_infinity(p, p, seed=seed)
        corrected.append(math.log(scored.value))
        plain.append(math.log(class_score(p)))
    error = np.std(corrected) / math.sqrt(200)
    assert abs(np.mean(corrected) - math.log(exact)) < 4 * error + 0.004  # and what is of second order in 1/N
    assert abs(np.mean(plain) - math.log(exact)) > 3 * abs(np.mean(corrected) - math.log(exact))


def test_rows_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(UserError, match="softmax"):
        class_score(draw(5, 3))
