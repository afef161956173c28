"""Adaptive times: the mean of the loss stays what it was, its variance falls, and the state is all there is."""

from __future__ import annotations

import math

import torch

from pellucid.losses import LossHistory

F64 = torch.float64
COUNT = 64_000
U = (torch.arange(COUNT, dtype=F64) + 0.5) / COUNT


def loss(u: torch.Tensor) -> torch.Tensor:
    """Two decades of size over the unit interval."""
    return 10 ** (2 * u)


def learned(rounds: int = 20) -> LossHistory:
    history = LossHistory()
    for k in range(rounds):
        u = torch.rand(512, dtype=F64, generator=torch.Generator().manual_seed(k))
        warped, _ = history.warp(u)
        history.update(warped, loss(warped))
    return history


def test_the_shares_follow_the_roots_of_the_mean_squares() -> None:
    history = learned()
    # In bin k the mean square is that of 10^(2u) over it.
    edges = 10 ** (4 * torch.arange(65, dtype=F64) / 64)
    root = (edges.diff() / (4 * math.log(10)) * 64).sqrt()
    expected = 0.9 * root / root.sum() + 0.1 / 64
    # A bin's mean square is known to a few percent from 160 losses that vary by 4 % within it.
    torch.testing.assert_close(history.shares(), expected, rtol=0.02, atol=0)
    assert abs(history.shares().sum().item() - 1) < 1e-12


def test_the_mean_is_kept_and_the_variance_falls() -> None:
    history = learned()
    warped, factor = history.warp(U)
    each = loss(warped) * factor
    exact = 99 / (2 * math.log(10))
    # The midpoint rule on 1,000 points a bin, some of them cut by its edges.
    assert abs(each.mean().item() / exact - 1) < 1e-3
    assert abs(loss(U).mean().item() / exact - 1) < 1e-3
    # Uniform: E L^2/E^2 - 1 = 1.35; in proportion to L only the uniform tenth and the bins' width are left.
    assert (each.var() / exact**2).item() < 0.03 < 1.3 < (loss(U).var() / exact**2).item()


def test_until_every_bin_is_known_nothing_changes() -> None:
    history = LossHistory()
    history.update(U[: COUNT // 2], loss(U[: COUNT // 2]))
    warped, factor = history.warp(U)
    torch.testing.assert_close(warped, U, rtol=0, atol=1e-7)
    assert (factor == 1).all()


def test_a_restored_history_is_the_same_one() -> None:
    history, other = learned(), LossHistory()
    other.restore(history.tensors())
    u = U.float()
    for a, b in zip(history.warp(u), other.warp(u), strict=True):
        assert torch.equal(a, b)
    assert (history.warp(u)[0] < 1).all()
