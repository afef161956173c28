"""The counter-based generator: published vectors, an independent implementation, moments, independence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pellucid.foundations.rng import Stream, philox4x32, subseed

WORD = 0xFFFFFFFF

# The known-answer vectors for philox4x32-10 that its authors publish with their library Random123.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((WORD,) * 4, (WORD,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_published_vectors(counter, key, expected):
    words = philox4x32(tuple(torch.tensor([c]) for c in counter), key)
    assert tuple(int(word) for word in words) == expected


def philox_numpy(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Ten rounds in unsigned 64-bit integers; counter of shape (4, n)."""
    c = [row.astype(np.uint64) for row in counter]
    k = [np.uint64(word) for word in key]
    mask = np.uint64(WORD)
    for _ in range(10):
        first, third = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (third >> np.uint64(32)) ^ c[1] ^ k[0],
            third & mask,
            (first >> np.uint64(32)) ^ c[3] ^ k[1],
            first & mask,
        ]
        k = [np.uint64((int(k[0]) + 0x9E3779B9) & WORD), np.uint64((int(k[1]) + 0xBB67AE85) & WORD)]
    return np.stack(c)


def test_against_unsigned_integers():
    generator = np.random.default_rng(0)
    counter = generator.integers(0, 1 << 32, (4, 2000), dtype=np.uint64)
    for key in [(1, 2), (WORD, 0), (0xDEADBEEF, 0x12345678)]:
        got = philox4x32(tuple(torch.from_numpy(row.astype(np.int64)) for row in counter), key)
        np.testing.assert_array_equal(torch.stack(got).numpy(), philox_numpy(counter, key))


def test_words_are_the_documented_counters():
    seed, ids = 0x0123456789ABCDEF, [0, 7, (5 << 32) + 3]
    got = Stream.of(seed, ids).words(10, step=9, num_steps=2, draw=1, num_draws=2)
    assert got.shape == (2, 2, 3, 10)
    for i, step in enumerate((9, 10)):
        for j, draw in enumerate((1, 2)):
            for k, item in enumerate(ids):
                blocks = np.arange(3)
                counter = np.stack([blocks, *(np.full(3, c) for c in (step * 256 + draw, item & WORD, item >> 32))])
                expected = philox_numpy(counter, (seed & WORD, seed >> 32)).reshape(-1)[:10]
                np.testing.assert_array_equal(got[i, j, k].numpy(), expected)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_a_number_depends_on_its_own_counters_alone(kind):
    def draw(ids, **options):
        return getattr(Stream.of(11, ids), kind)((3, 5), **options)

    together = draw(range(6), step=4, num_steps=3, draw=2, num_draws=2)
    assert together.shape == (3, 2, 6, 3, 5)
    for i in range(3):
        for j in range(2):
            alone = draw([5, 2], step=4 + i, draw=2 + j)[0, 0]
            assert torch.equal(alone, together[i, j][[5, 2]])


def test_numbers_are_their_words_formulas():
    """Uniform: the upper 24 bits. Normal: Box and Muller's pairs, recomputed here in float64 by numpy."""
    stream = Stream.of(9, range(50))
    words = stream.words(1001 + 1, step=2)[0, 0].numpy()
    uniform = stream.uniform((1002,), step=2)[0, 0].double().numpy()
    np.testing.assert_array_equal(uniform, (words >> 8) / 2**24)
    radius = np.sqrt(-2 * np.log((words[:, :501] + 1) / 2**32))
    angle = 2 * np.pi * words[:, 501:] / 2**32
    expected = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)[:, :1001]
    # float32 moves the angle by up to 5e-7, times a radius of up to 6.7; near radius 0 the logarithm's argument is on a
    # grid of 2^-24, which moves the radius by up to sqrt(2 * 2^-25).
    error = np.abs(stream.normal((1001,), step=2)[0, 0].double().numpy() - expected)
    assert error.max() < 3e-4
    assert np.quantile(error, 0.99) < 3e-6


def test_uniform_moments_and_range():
    u = Stream.of(1, range(64)).uniform((4096,), step=0).double().flatten()
    count = len(u)
    assert u.min() >= 0
    assert u.max() < 1
    # Four standard errors each.
    assert abs(u.mean() - 0.5) < 4 * math.sqrt(1 / 12 / count)
    assert abs(u.square().mean() - 1 / 3) < 4 * math.sqrt((1 / 5 - 1 / 9) / count)
    bins = torch.histc(u, 256, 0, 1)
    chi2 = ((bins - count / 256).square() / (count / 256)).sum()
    assert abs(chi2 - 255) < 4 * math.sqrt(2 * 255)


def test_normal_moments_and_tails():
    z = Stream.of(2, range(64)).normal((4096,), step=0).double().flatten()
    count = len(z)
    for power, moment, square in [(1, 0, 1), (2, 1, 3), (3, 0, 15), (4, 3, 105)]:
        assert abs(z.pow(power).mean() - moment) < 4 * math.sqrt((square - moment**2) / count), power
    for bound in (1.0, 2.0, 3.0):
        share = 2 * (1 - 0.5 * (1 + math.erf(bound / math.sqrt(2))))
        assert abs((z.abs() > bound).double().mean() - share) < 4 * math.sqrt(share / count)
    # Kolmogorov-Smirnov at level 1e-4.
    order = torch.special.ndtr(z.sort().values)
    steps = torch.arange(1, count + 1) / count
    assert (order - steps).abs().max() < 2.23 / math.sqrt(count)


def test_extreme_words_give_finite_normals(monkeypatch):
    for word in (0, WORD):
        monkeypatch.setattr(Stream, "words", lambda self, count, word=word, **_: torch.full((1, 1, 1, count), word))
        z = Stream.of(0, [0]).normal((8,), step=0)
        assert torch.isfinite(z).all()
        assert z.abs().max() < 6.7


def test_streams_are_uncorrelated():
    base = Stream.of(3, [0]).normal((20_000,), step=0).flatten()
    others = {
        "id": Stream.of(3, [1]).normal((20_000,), step=0),
        "high word of the id": Stream.of(3, [1 << 32]).normal((20_000,), step=0),
        "step": Stream.of(3, [0]).normal((20_000,), step=1),
        "draw": Stream.of(3, [0]).normal((20_000,), step=0, draw=1),
        "seed": Stream.of(4, [0]).normal((20_000,), step=0),
        "high word of the seed": Stream.of(3 + (1 << 32), [0]).normal((20_000,), step=0),
    }
    for name, other in others.items():
        for left, right in ((base, other.flatten()), (base.square() - 1, other.flatten().square() - 1)):
            correlation = (left * right).mean() / (left.std() * right.std())
            assert abs(correlation) < 4 / math.sqrt(20_000), name
    # The two halves of Box and Muller's pairs, and neighbours.
    assert abs((base[:10_000] * base[10_000:]).mean()) < 4 / math.sqrt(10_000)
    assert abs((base[1:] * base[:-1]).mean()) < 4 / math.sqrt(20_000)


def test_any_integer_is_a_seed():
    def first(seed):
        return Stream.of(seed, [0]).words(4, step=0).tolist()

    assert first(-1) == first((1 << 64) - 1)
    assert first(1 << 64) == first(0)
    assert first(-1) != first(1)


@pytest.mark.parametrize(
    "options", [{"step": -1}, {"step": 1 << 24}, {"step": 0, "draw": 256}, {"step": 0, "draw": -1}]
)
def test_counters_outside_their_range_are_refused(options):
    with pytest.raises(ValueError, match="steps run from 0"):
        Stream.of(0, [0]).words(4, **options)


def test_subseeds_differ_by_purpose_and_seed():
    seeds = {subseed(seed, purpose) for seed in range(20) for purpose in ("times", "noise", "labels")}
    assert len(seeds) == 60
    assert all(0 <= seed < 1 << 64 for seed in seeds)
    assert subseed(0, "times") == subseed(0, "times")


def test_fine_uniform_numbers_are_uniform_to_53_bits():
    stream = Stream.of(3, range(2000))
    u = stream.fine_uniform((50,), step=4, num_draws=2)
    assert u.shape == (1, 2, 2000, 50)
    assert u.dtype == torch.float64
    assert ((u >= 0) & (u < 1)).all()
    scaled = u * 2.0**53
    assert torch.equal(scaled, scaled.round())
    # Both words count: the digits above and below 2^-24 are each uniform, in five standard errors of 200,000 numbers.
    for part in (u, (u * 2.0**24) % 1):
        assert abs(part.mean().item() - 0.5) < 5 * math.sqrt(1 / 12 / part.numel())
        assert abs(part.var().item() - 1 / 12) < 5 * math.sqrt(1 / 180 / part.numel())
    # Numbers depend on the item, not on the batch.
    alone = Stream.of(3, [77]).fine_uniform((50,), step=4, num_draws=2)
    assert torch.equal(alone[:, :, 0], u[:, :, 77])
