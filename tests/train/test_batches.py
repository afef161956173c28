"""Batches are a function of (seed, position), evenly spread in time, with labels hidden as often as said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pellucid.data.arrays import Dataset
from pellucid.data.codecs import ImageCodec
from pellucid.data.columns import items_column, vector_column
from pellucid.foundations.rng import Stream, subseed
from pellucid.losses import LogNormal, Uniform
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.train.batches import Batch, Batches, golden


def batches(**changes: object) -> Batches:
    """Pictures of one row whose first pixel tells the item."""
    items = np.zeros((50, 1, 2, 4), np.uint8)
    items[:, 0, 0, 0] = np.arange(50)
    labels = np.arange(50) % 5
    data = Dataset(items, labels, tuple("abcde"), ImageCodec(1, 2, 4), "rows")
    given = {"label_dropout": 0.2, "null_label": 5, **changes}
    return Batches(data, Gaussian(SCHEDULES["edm"]()), LogNormal(), seed=3, **given)  # type: ignore[arg-type]


def parts(batch: Batch) -> list[torch.Tensor]:
    return [batch.x0, batch.t, batch.noise, *batch.cond.values()]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_batch_equals_its_parts(flip: bool, cut: int) -> None:
    made = batches(flip=flip)
    whole = parts(made.at(16, 8))
    halves = [torch.cat(pair) for pair in zip(parts(made.at(16, cut)), parts(made.at(16 + cut, 8 - cut)), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(whole, halves, strict=True))


def test_positions_and_seeds_differ() -> None:
    made = batches()
    other = Batches(made.data, made.process, made.density, seed=4, label_dropout=0.2, null_label=5)
    for a, b, c in zip(parts(made.at(0, 50)), parts(made.at(50, 50)), parts(other.at(0, 50)), strict=True):
        assert not torch.equal(a, b)
        assert not torch.equal(a, c)


def test_each_epoch_holds_every_item_once() -> None:
    made = batches(label_dropout=0.0)
    for epoch in range(3):
        batch = made.at(50 * epoch, 50)
        ids = ((batch.x0[:, 0, 0, 0] + 1) * 127.5).round().long()
        assert sorted(ids.tolist()) == list(range(50))
        assert torch.equal(batch.cond["label"], ids % 5)


def test_labels_are_hidden_as_often_as_said_and_never_changed_else() -> None:
    count = 20_000
    shown = batches(label_dropout=0.0).at(0, count).cond["label"]
    some = batches(label_dropout=0.2).at(0, count).cond["label"]
    hidden = some == 5
    assert torch.equal(some[~hidden], shown[~hidden])
    # 4.5 standard deviations of a binomial share: sqrt(0.2 * 0.8 / 20000) = 0.0028
    assert abs(hidden.float().mean().item() - 0.2) < 0.0127
    for k in range(5):  # each class alike
        assert abs(hidden[shown == k].float().mean().item() - 0.2) < 0.0285


def columned(**changes: object) -> Batches:
    """The same pictures, each with its number and itself as conditions."""
    plain = batches(**changes)
    number = vector_column("number", np.arange(50.0))
    picture = items_column("picture", plain.data.items, plain.data.codec)
    return replace(plain, data=replace(plain.data, columns=(number, picture)))


@pytest.mark.parametrize("cut", [1, 4])
def test_columns_belong_to_their_items_in_any_batch(cut: int) -> None:
    whole = columned(label_dropout=0.0, flip=True).at(16, 40)
    ids = ((whole.x0[:, 0, 0].amax(-1) + 1) * 127.5).round()
    told = whole.cond["number"][:, 0] * np.arange(50).std() + 24.5
    torch.testing.assert_close(told, ids, atol=1e-4, rtol=0)  # float32 of numbers up to 50
    assert torch.equal(whole.cond["picture"], whole.x0)  # mirrored where the item is
    made = columned(flip=True)
    halves = [torch.cat(p) for p in zip(parts(made.at(16, cut)), parts(made.at(16 + cut, 8 - cut)), strict=True)]
    for a, b in zip(parts(made.at(16, 8)), halves, strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=0, equal_nan=True)


def test_parts_are_hidden_one_by_one_and_together() -> None:
    """Hidden with p on its own and with p together: each with q = 1 - (1 - p)^2, all three with p + (1 - p) p^3."""
    count, p = 20_000, 0.2
    cond = columned(label_dropout=p).at(0, count).cond
    gone = torch.stack([cond["label"] == 5, cond["number"][:, 0].isnan(), cond["picture"].flatten(1).isnan().all(1)])
    assert torch.equal(gone[2], cond["picture"].flatten(1).isnan().any(1))
    bound = 4.5 * 0.5 / count**0.5  # 4.5 standard deviations of a binomial share, at most
    for share in gone.double().mean(1):
        assert abs(share.item() - (1 - (1 - p) ** 2)) < bound
    assert abs(gone.all(0).double().mean().item() - (p + (1 - p) * p**3)) < bound
    # given that not all are hidden together the coins are independent: exactly the first two are
    assert abs((gone[0] & gone[1] & ~gone[2]).double().mean().item() - (1 - p) * p**2 * (1 - p)) < bound


def test_labels_alone_keep_their_coins() -> None:
    """What a run with labels and no columns hides is what the coins of its positions say, drawn here anew."""
    made, positions = batches(label_dropout=0.2), np.arange(500)
    stream = Stream(subseed(3, "training"), torch.from_numpy(positions))
    hidden = stream.uniform((2,), step=1)[0, 0, :, 1] < 0.2
    assert torch.equal(made.at(0, 500).cond["label"] == 5, hidden)


def test_half_are_mirrored_whole() -> None:
    count = 4000
    plain, flipped = batches().at(0, count).x0, batches(flip=True).at(0, count).x0
    plain[:, 0, 1, 3] = flipped[:, 0, 1, 3] = -1.0  # untouched pixels: all black
    same = (plain == flipped).flatten(1).all(1)
    mirrored = (plain.flip(-1) == flipped).flatten(1).all(1)
    assert bool((same | mirrored).all())
    # items of the value 0 are their own mirror: 1 in 50
    share = (mirrored & ~same).sum().item() / (~(same & mirrored)).sum().item()
    assert abs(share - 0.5) < 4.5 * (0.25 / count) ** 0.5 * 1.02


def test_golden_is_uniform_and_evenly_spread() -> None:
    """Any stretch of n numbers of the golden-ratio sequence has a star discrepancy below about 1.2 log(n) / n
    (Kuipers and Niederreiter, "Uniform Distribution of Sequences", 1974, chapter 2, theorem 3.4: bounded partial
    quotients); independent ones have about 0.9 / sqrt(n)."""
    for start, n in ((0, 16), (0, 128), (12_345, 128), (10**9, 4096)):
        u = np.sort(golden(np.arange(start, start + n), seed=1).astype(np.float64))
        assert u.min() >= 0
        assert u.max() < 1
        place = np.arange(n) / n
        discrepancy = max(np.abs(u - place).max(), np.abs(u - place - 1 / n).max())
        assert discrepancy < 2.5 * np.log(n) / n  # the shift on the circle can double it
    u = golden(np.arange(4096), seed=1)
    counts, _ = np.histogram(u, bins=64, range=(0, 1))
    assert counts.min() >= 62
    assert counts.max() <= 66


def test_golden_steps_by_the_golden_ratio_without_drift() -> None:
    ratio = (5**0.5 - 1) / 2
    positions = np.array([0, 1, 2, 10**6, 10**12])
    u = golden(positions, seed=9).astype(np.float64)
    # exact value by whole numbers: frac(p * ratio) with 2^64 grid points, which Python's integers hold
    fixed = 0x9E3779B97F4A7C15
    expected = np.array([(int(p) * fixed % 2**64) / 2**64 for p in positions])
    assert abs(fixed / 2**64 - ratio) < 1e-15
    gap = (u - u[0] - expected) % 1
    assert np.minimum(gap, 1 - gap).max() < 2.0**-22  # a grid of 2^-24


def test_golden_depends_on_the_seed_alone() -> None:
    p = np.arange(100)
    assert not np.array_equal(golden(p, 0), golden(p, 1))
    assert np.array_equal(golden(p.reshape(10, 10), 0).reshape(-1), golden(p, 0))


def test_times_follow_their_density() -> None:
    made = batches()
    uniform = Batches(made.data, made.process, Uniform(), seed=3)
    t = np.sort(uniform.at(0, 4096).t.numpy())
    assert np.abs(t - (np.arange(4096) + 0.5) / 4096).max() < 0.004  # discrepancy of 4096 golden numbers, and 1e-3
