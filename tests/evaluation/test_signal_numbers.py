"""Signals: the numbers of their own kind on series of which the right ones are known."""

from __future__ import annotations

import torch

from pellucid.evaluation.signal_numbers import signal_numbers


def walks(count: int, keep: float, seed: int) -> torch.Tensor:
    """Autoregressive series x_t = keep x_(t-1) + noise, (count, 1, 64), of variance one."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 64, generator=generator)
    x = [noise[:, 0]]
    for t in range(1, 64):
        x.append(keep * x[-1] + (1 - keep**2) ** 0.5 * noise[:, t])
    return torch.stack(x, 1)[:, None]


def test_equal_laws_are_at_the_floor_and_others_are_not() -> None:
    real = walks(200, 0.8, 0)
    same, _ = signal_numbers(walks(200, 0.8, 1), real, None, 0)
    other, refused = signal_numbers(walks(200, 0.2, 1), real, None, 0)
    assert not refused
    for alike, apart in zip(same, other, strict=True):
        assert alike.name == apart.name
        assert alike.low is not None
        assert apart.low is not None
        assert alike.floor is not None
        assert alike.low <= alike.floor * 2  # the largest gap over 63 lags, and an accuracy off one half, by chance
        assert apart.low > alike.floor
        assert (alike.num_generated, alike.num_real, alike.floor) == (200, 200, apart.floor)
    # At the first lag the correlations are 0.8 and 0.2, less what the estimate's bias of a few 1/64 takes from each.
    gap = next(scored for scored in other if scored.name == "autocorrelation_gap")
    assert abs(gap.value - 0.6) < 0.1


def test_too_few_and_chosen_ones() -> None:
    found, refused = signal_numbers(walks(40, 0.5, 0), walks(10, 0.5, 1), ["autocorrelation_gap"], 0)
    assert not found
    assert list(refused) == ["autocorrelation_gap"]
    assert "10 real signals are too few" in refused["autocorrelation_gap"]
