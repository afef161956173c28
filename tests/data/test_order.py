import itertools
import math

import numpy as np
import pytest
from scipy import stats

from pellucid.data.order import item_at


@pytest.mark.parametrize("num_items", [1, 2, 3, 4, 5, 7, 16, 17, 97, 100, 1000, 1024, 4099])
@pytest.mark.parametrize("seed", [0, 1, -5, 2**70])
def test_every_epoch_is_a_permutation(num_items: int, seed: int) -> None:
    epochs = item_at(seed, np.arange(3 * num_items), num_items).reshape(3, num_items)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(num_items))


def test_a_window_of_a_huge_epoch_has_no_repeats_and_stays_in_range() -> None:
    num_items = 10**9 + 7
    items = item_at(3, np.arange(5 * 10**8, 5 * 10**8 + 200_000), num_items)
    assert len(np.unique(items)) == 200_000
    assert items.min() >= 0
    assert items.max() < num_items
    # a window of consecutive positions is spread over the whole range: Kolmogorov-Smirnov against the uniform law
    assert stats.kstest(items / num_items, "uniform").pvalue > 1e-6


def test_the_order_does_not_depend_on_chunks_shape_or_type() -> None:
    positions = np.arange(50_000)
    whole = item_at(11, positions, 777)
    pieces = [item_at(11, part, 777) for part in np.array_split(positions, [1, 3, 1000, 16_384, 40_001])]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))
    np.testing.assert_array_equal(whole[::-1], item_at(11, positions[::-1], 777))
    np.testing.assert_array_equal(whole.reshape(100, -1), item_at(11, positions.reshape(100, -1), 777))
    np.testing.assert_array_equal(whole, item_at(11, positions.astype(np.uint64), 777))
    assert item_at(11, 123, 777) == whole[123]


@pytest.mark.parametrize("num_items", [3, 4, 5, 6])
@pytest.mark.parametrize("over", ["epochs", "seeds"])
def test_all_orders_of_a_few_items_are_equally_likely(num_items: int, over: str) -> None:
    trials = 12_000 if over == "epochs" else 3_000
    if over == "epochs":
        orders = item_at(7, np.arange(trials * num_items), num_items).reshape(trials, num_items)
    else:
        orders = np.stack([item_at(seed, np.arange(num_items), num_items) for seed in range(trials)])
    counts = dict.fromkeys(itertools.permutations(range(num_items)), 0)
    for order in orders.tolist():
        counts[tuple(order)] += 1
    assert sum(counts.values()) == trials
    # 1e-5: eight such tests fail by chance once in 12,000 choices of the fixed numbers above
    assert stats.chisquare(list(counts.values())).pvalue > 1e-5
    assert len(counts) == math.factorial(num_items)


def test_where_an_item_lands_is_uniform_over_seeds() -> None:
    num_items, seeds = 50, 4000
    table = np.zeros((num_items, num_items))
    for seed in range(seeds):
        table[np.arange(num_items), item_at(seed, np.arange(num_items), num_items)] += 1
    expected = seeds / num_items
    chi2 = ((table - expected) ** 2 / expected).sum()
    # rows and columns have fixed sums, so (N - 1)^2 degrees of freedom, and the exact factor (N - 1) / N of a
    # sum over permutation matrices
    p = stats.chi2.sf(chi2 * (num_items - 1) / num_items, (num_items - 1) ** 2)
    assert 1e-5 < p < 1 - 1e-5


def test_epochs_and_seeds_are_independent() -> None:
    num_items = 20_000
    first, second = item_at(0, np.arange(2 * num_items), num_items).reshape(2, -1)
    other = item_at(1, np.arange(num_items), num_items)
    for a, b in [(first, second), (first, other), (first, np.arange(num_items))]:
        # the correlation of two independent orders has the standard deviation (N - 1)^(-1/2)
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(num_items - 1)
        # the number of places that agree is Poisson with mean 1
        assert (a == b).sum() <= 8
        # so is the number of neighbours that stay neighbours, in the sense of b's place of an item after a's
        assert (np.diff(np.argsort(a)[b]) == 1).sum() <= 8


@pytest.mark.parametrize(
    ("positions", "num_items", "message"),
    [([-1], 5, "positions"), ([0.5], 5, "integers"), ([0], 0, "num_items"), ([0], 2**62 + 1, "num_items")],
)
def test_bad_arguments_are_named(positions: list[float], num_items: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        item_at(0, positions, num_items)


def test_no_positions() -> None:
    assert item_at(0, [], 5).shape == (0,)
