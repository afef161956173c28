"""The assignment against all permutations, the correction's mean, and what is refused."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.metrics import transport
from pellucid.metrics.transport import assignment, sliced, wasserstein

GENERATOR = torch.Generator().manual_seed(3)


def draw(count: int, size: int) -> torch.Tensor:
    return torch.randn(count, size, generator=GENERATOR, dtype=torch.float64)


def test_is_the_least_over_all_permutations() -> None:
    x, y = draw(6, 3), draw(6, 3) + 1
    cost = torch.cdist(x, y).square().numpy()
    least = min(sum(cost[i, s[i]] for i in range(6)) for s in itertools.permutations(range(6))) / 6
    assert assignment(x, y) == pytest.approx(least, rel=1e-10)


def test_a_shift_is_its_square() -> None:
    x = draw(50, 4)
    assert assignment(x + 2.0, x) == pytest.approx(16.0, rel=1e-10)


def test_the_correction_is_unbiased_for_equal_laws_and_shifts_where_the_plain_value_is_not() -> None:
    """In 16 dimensions samples of one law lie far apart; (3) has mean zero, and the square of a shift."""
    found, moved, plain = [], [], []
    for _ in range(60):
        x, y = draw(32, 16), draw(32, 16)
        found.append(transport._centre(assignment, x, y))
        moved.append(transport._centre(assignment, x + 0.5, y))
        plain.append(assignment(x, y))
    assert np.mean(plain) > 10
    error = 4 / math.sqrt(60)  # four standard errors
    assert abs(np.mean(found)) < error * np.std(found)
    assert abs(np.mean(moved) - 16 * 0.25) < error * np.std(moved)


def test_sliced_of_a_shift_is_a_share_of_its_square() -> None:
    x, y = draw(400, 4), draw(400, 4)
    scored = sliced(x + 1.0, y)
    assert scored.low is not None
    assert scored.high is not None
    # |<d, shift>|^2 has mean |shift|^2 / D = 1 over directions; of 128 its error is 0.12 at most.
    assert scored.low - 0.2 < 1.0 < scored.high + 0.2
    assert 0.6 < scored.value < 1.5


def test_sizes_are_refused_or_reduced_and_said() -> None:
    with pytest.raises(UserError, match="of one size, got 3 and 4"):
        assignment(draw(3, 2), draw(4, 2))
    with pytest.raises(UserError, match="at most 2,000"):
        assignment(torch.zeros(2001, 1), torch.zeros(2001, 1))
    with pytest.raises(UserError, match="at least 16 items"):
        wasserstein(draw(10, 2), draw(40, 2))


def test_larger_samples_enter_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LARGEST_ASSIGNMENT", 20)
    scored = wasserstein(draw(90, 2), draw(70, 2))
    assert (scored.num_generated, scored.num_real) == (40, 40)
    assert "on 40 of 90 generated and 70 real items" in scored.warnings[0]
