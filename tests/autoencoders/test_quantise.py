"""Code books against brute force and hand-written updates; scalar levels by enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from pellucid.autoencoders import AutoencoderSpec, FiniteScalar, Quantised, VectorQuantiser, build_autoencoder, usage
from pellucid.foundations.errors import UserError
from pellucid.nn.coder import choose_coder


def book(num: int = 16, width: int = 3) -> VectorQuantiser:
    generator = torch.Generator().manual_seed(0)
    made = VectorQuantiser(num, width, decay=0.9)
    made.codebook.copy_(torch.randn(num, width, generator=generator))
    made.shares.fill_(1 / num)
    made.sums.copy_(made.codebook / num)
    return made


def test_the_nearest_code_is_that_of_brute_force() -> None:
    quantiser, z = book().eval(), torch.randn(4, 3, 5, 6)
    codes = quantiser(z)
    for b, i, j in itertools.product(range(4), range(5), range(6)):
        distances = [(z[b, :, i, j] - code).norm().item() for code in quantiser.codebook]
        assert codes.indices[b, i, j] == min(range(16), key=distances.__getitem__)
        assert torch.equal(codes.vectors[b, :, i, j], quantiser.codebook[codes.indices[b, i, j]])
    assert torch.equal(quantiser.vectors(codes.indices), codes.vectors)


def test_gradients_pass_straight_through_and_stop_at_the_book() -> None:
    quantiser = book().eval()
    z = torch.randn(2, 3, 4, requires_grad=True)
    weight = torch.randn(2, 3, 4)
    (weight * quantiser(z).vectors).sum().backward()
    assert torch.equal(z.grad, weight)
    assert not list(quantiser.parameters())


def test_commitment_is_the_squared_distance_and_pulls_the_encoder() -> None:
    quantiser = book().eval()
    z = torch.randn(2, 3, 4, requires_grad=True)
    codes = quantiser(z)
    expected = (z - codes.vectors.detach()).square().mean(dim=(1, 2))
    torch.testing.assert_close(codes.commitment(), expected)
    codes.commitment().sum().backward()
    torch.testing.assert_close(z.grad, 2 * (z - codes.vectors).detach() / 12)


def test_the_moving_average_by_hand() -> None:
    quantiser, before = book(), book()
    rows = torch.randn(50, 3)
    indices = before.nearest(rows)
    quantiser.learn(rows, indices)
    for i in range(16):
        own = rows[indices == i]
        share = 0.9 / 16 + 0.1 * len(own) / 50
        total = 0.9 * before.codebook[i] / 16 + 0.1 * own.sum(0) / 50
        torch.testing.assert_close(quantiser.shares[i], torch.tensor(share))
        torch.testing.assert_close(quantiser.codebook[i], total / share)
    torch.testing.assert_close(quantiser.shares.sum(), torch.tensor(1.0))


def test_it_learns_in_training_only() -> None:
    quantiser, z = book(), torch.randn(4, 3, 5)
    before = quantiser.codebook.clone()
    quantiser.eval()(z)
    assert torch.equal(quantiser.codebook, before)
    quantiser.train()(z)
    assert not torch.equal(quantiser.codebook, before)


def test_a_book_finds_clusters_from_nothing() -> None:
    """Four tight clusters, eight dead codes: after a few batches each cluster has a code at its mean."""
    generator = torch.Generator().manual_seed(1)
    centres = torch.tensor([[4.0, 0], [-4, 0], [0, 4], [0, -4]])
    quantiser = VectorQuantiser(8, 2, decay=0.8).train()
    for _ in range(60):
        quantiser(centres[torch.arange(64) % 4] + 0.05 * torch.randn(64, 2, generator=generator))
    nearest = torch.cdist(centres, quantiser.codebook).min(1).values
    assert nearest.max() < 0.1  # twice the clusters' spread


def test_dead_codes_begin_anew_where_service_is_bad() -> None:
    quantiser = book(4, 1)
    quantiser.codebook.copy_(torch.tensor([[0.0], [1.0], [50.0], [60.0]]))
    quantiser.shares.copy_(torch.tensor([0.5, 0.5, 0.0, 0.001]))
    rows = torch.tensor([[0.0], [1.0], [10.0], [-10.0], [0.1]])  # two that nobody is near
    assert quantiser.revive(rows) == 2
    assert sorted(quantiser.codebook[2:, 0].tolist()) == [-10.0, 10.0]
    assert quantiser.codebook[:2, 0].tolist() == [0.0, 1.0]
    torch.testing.assert_close(quantiser.shares[2:], torch.full((2,), 0.25))
    assert quantiser.revive(rows) == 0


def test_new_codes_do_not_crowd_on_one_far_place() -> None:
    """Ninety rows far to one side and ten far to the other: the second new code must leave the first one's place."""
    quantiser = book(3, 1)
    quantiser.codebook.copy_(torch.tensor([[0.0], [500.0], [600.0]]))
    quantiser.shares.copy_(torch.tensor([1.0, 0.0, 0.0]))
    rows = torch.cat([torch.full((90, 1), 10.0), torch.full((10, 1), -10.0)])
    assert quantiser.revive(rows) == 2
    assert sorted(quantiser.codebook[1:, 0].tolist()) == [-10.0, 10.0]


LEVELS = [(8, 5, 5), (2,), (3, 4), (7, 5, 5, 5)]


@pytest.mark.parametrize("levels", LEVELS)
def test_scalar_codes_count_and_come_back(levels: tuple[int, ...]) -> None:
    quantiser = FiniteScalar(levels)
    assert quantiser.num_codes == math.prod(levels)
    every = torch.arange(quantiser.num_codes)
    vectors = quantiser.vectors(every)
    assert torch.equal(quantiser.indices(vectors), every)
    assert len(torch.unique(vectors, dim=0)) == quantiser.num_codes
    assert vectors.abs().max() <= 1


@pytest.mark.parametrize("levels", LEVELS)
def test_scalar_levels_are_all_reached_and_none_beyond(levels: tuple[int, ...]) -> None:
    quantiser = FiniteScalar(levels)
    sweep = torch.linspace(-12, 12, 4001)[:, None].expand(-1, len(levels))
    codes = quantiser(sweep)
    for channel, count in enumerate(levels):
        assert len(torch.unique(codes.vectors[:, channel])) == count
    assert torch.equal(quantiser.vectors(codes.indices), codes.vectors)
    # no output further than half a level from its code
    half_level = 0.5 / (torch.tensor(levels) // 2)
    assert ((codes.before - codes.vectors).abs() <= half_level + 1e-6).all()


@pytest.mark.parametrize("levels", LEVELS)
def test_an_output_of_zero_is_on_a_level(levels: tuple[int, ...]) -> None:
    codes = FiniteScalar(levels)(torch.zeros(1, len(levels), dtype=torch.float64))
    assert codes.before.abs().max() < 1e-6  # atanh and tanh in float32, of the levels
    assert not codes.vectors.any()


def test_between_codes_the_nearest_is_taken() -> None:
    scalar, z = FiniteScalar((8, 5)), torch.rand(50, 2, 3) * 1.5 - 0.75
    every = scalar.vectors(torch.arange(40))
    snapped = scalar.snap(z)
    distances = torch.cdist(z.movedim(1, -1).reshape(-1, 2), every)
    assert torch.equal(snapped.movedim(1, -1).reshape(-1, 2), every[distances.argmin(1)])
    vector = book().eval()
    z = torch.randn(4, 3, 5)
    assert torch.equal(vector.snap(z), vector(z).vectors)


def test_scalar_gradients_are_those_of_the_bound() -> None:
    quantiser = FiniteScalar((8, 5))
    z = torch.randn(3, 2, 4, requires_grad=True)
    weight = torch.randn(3, 2, 4)
    codes = quantiser(z)
    straight = torch.autograd.grad((weight * codes.vectors).sum(), z, retain_graph=True)[0]
    assert torch.equal(straight, torch.autograd.grad((weight * codes.before).sum(), z)[0])


def test_usage_and_perplexity() -> None:
    found = usage(torch.tensor([[0, 0], [2, 2]]), 4)
    assert (found.used, found.share, found.count) == (2, 0.5, 4)
    assert found.perplexity == pytest.approx(2.0)
    assert usage(torch.arange(64), 64).perplexity == pytest.approx(64.0)
    with pytest.raises(UserError, match="no codes to count"):
        usage(torch.empty(0, dtype=torch.int64), 4)
    with pytest.raises(UserError, match="a code of 7 in a book of 4"):
        usage(torch.tensor([7]), 4)


def test_codes_that_do_not_exist_are_refused() -> None:
    for quantiser in (book(), FiniteScalar((4, 4))):
        with pytest.raises(UserError, match="from 0 to 15"):
            quantiser.vectors(torch.tensor([16]))
    with pytest.raises(UserError, match="at least 2"):
        FiniteScalar((1, 5))


@pytest.mark.parametrize(
    ("kind", "extra"), [("vq", {"codes": 32, "latent": 4}), ("fsq", {"levels": (5, 5), "latent": 2})]
)
def test_decoding_indices_is_decoding_codes(kind: str, extra: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = build_autoencoder(
        AutoencoderSpec(kind, choose_coder((1, 16, 16), flat=False, width=8), flat=False, **extra)
    )
    assert isinstance(model, Quantised)
    x = torch.randint(0, 256, (3, 1, 16, 16)) / 127.5 - 1
    model.train().encode(x)
    model.eval()
    codes = model.encode(x)
    assert model.positions == math.prod(codes.indices.shape[1:])
    torch.testing.assert_close(model.decode_indices(codes.indices).mean, model.decode(codes.vectors).mean)
