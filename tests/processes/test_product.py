"""A product of processes is its parts, side by side."""

from __future__ import annotations

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream, subseed
from pellucid.processes.categorical import absorbing, uniform
from pellucid.processes.checks import check_prior
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.product import Field, Product
from pellucid.processes.schedules import VE, VP, linear_beta

F64 = torch.float64
NUMBERS, TINTS, WORDS = (
    Field("numbers", Gaussian(VP()), 3),
    Field("tints", uniform(4), 1),
    Field("words", absorbing(6), 2),
)
PRODUCT = Product((NUMBERS, TINTS, WORDS))


def some(count=5):
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(count, 3, dtype=F64, generator=generator)
    tints = torch.randint(0, 4, (count, 1), generator=generator)
    words = torch.randint(0, 5, (count, 2), generator=generator)
    answers = [
        torch.randn(count, 3, dtype=F64, generator=generator),
        torch.randn(count, 1, 4, dtype=F64, generator=generator),
        torch.randn(count, 2, 6, dtype=F64, generator=generator),
    ]
    noise = torch.rand(count, 6, dtype=F64, generator=generator)
    return [numbers, tints, words], answers, noise


def test_packing_loses_nothing():
    parts, answers, _ = some()
    x = PRODUCT.pack(parts)
    assert x.shape == (5, 6)
    for part, back in zip(parts, PRODUCT.unpack(x), strict=True):
        assert torch.equal(part, back)
        assert part.dtype == back.dtype
    packed = PRODUCT.pack_answers(answers)
    assert packed.shape == (5, 3 + 4 + 12)
    for part, back in zip(answers, PRODUCT.answers(packed), strict=True):
        assert torch.equal(part, back)


@pytest.mark.parametrize("batched", [False, True])
def test_every_move_is_that_of_the_parts(batched):
    parts, answers, noise = some()
    t, s = (torch.tensor(v, dtype=F64) for v in (0.7, 0.3))
    if batched:
        t, s = t + torch.arange(5) / 20, s + torch.arange(5) / 20
    x, packed = PRODUCT.pack(parts), PRODUCT.pack_answers(answers)
    cut = [noise[:, :3], noise[:, 3:4], noise[:, 4:]]
    processes = [field.process for field in PRODUCT.fields]

    def beside(move):
        return torch.cat([move(*each).double() for each in zip(processes, parts, answers, cut, strict=True)], dim=1)

    assert torch.equal(PRODUCT.corrupt(x, t, noise), beside(lambda p, v, a, z: p.corrupt(v, t, z)))
    assert torch.equal(PRODUCT.renoise(x, s, t, noise), beside(lambda p, v, a, z: p.renoise(v, s, t, z)))
    assert torch.equal(PRODUCT.bridge(x, packed, t, s, noise), beside(lambda p, v, a, z: p.bridge(v, a, t, s, z)))
    assert torch.equal(PRODUCT.prior(noise), beside(lambda p, v, a, z: p.prior(z)))
    if batched:
        losses = [p.loss(a, v, t) for p, v, a in zip(processes, parts, answers, strict=True)]
        shares = torch.tensor([3, 1, 2]) / 6
        total = sum(share * loss for share, loss in zip(shares, losses, strict=True))
        torch.testing.assert_close(PRODUCT.loss(packed, x, t), total)
        weighted = Product(
            (Field("numbers", Gaussian(VP()), 3, weight=2.0), TINTS, Field("words", absorbing(6), 2, 0.0))
        )
        torch.testing.assert_close(weighted.loss(packed, x, t), 2 * losses[0] + losses[1] / 6)
        torch.testing.assert_close(
            PRODUCT.prior_kl(x), sum(p.prior_kl(v) for p, v in zip(processes, parts, strict=True))
        )


def test_fields_have_numbers_of_their_own():
    stream = Stream.of(9, range(4))
    drawn = PRODUCT.draw(stream, (6,), step=3, num_steps=2, num_draws=2)
    assert drawn.shape == (2, 2, 4, 6)
    assert drawn.dtype == F64
    # Field f draws what its process draws under the seed of its name: neither its place nor its neighbours matter.
    own = Stream(subseed(9, "field words"), stream.ids)
    assert torch.equal(drawn[..., 4:], WORDS.process.draw(own, (2,), step=3, num_steps=2, num_draws=2))
    alone = Product((WORDS,)).draw(stream, (2,), step=3, num_steps=2, num_draws=2)
    assert torch.equal(drawn[..., 4:], alone)
    # Uniform numbers keep their fine grid.
    assert ((drawn[..., 4:] * 2.0**24) % 1 > 0).double().mean() > 0.9


def test_an_end_that_is_no_prior_is_refused_by_name():
    assert check_prior(PRODUCT) < 0.01
    short = Product((Field("numbers", Gaussian(linear_beta(num_steps=100)), 3), WORDS))
    with pytest.raises(UserError, match="a longer chain"):
        check_prior(short)
    # Bits for each column: those of the numbers alone, spread over all.
    alone = Gaussian(linear_beta(num_steps=100)).prior_bits_per_dim()
    assert short.prior_bits_per_dim() == pytest.approx(alone * 3 / 5, rel=1e-9)


def test_refusals():
    with pytest.raises(UserError, match="different names"):
        Product((WORDS, WORDS))
    with pytest.raises(UserError, match="at least 1 column"):
        Product((Field("none", Gaussian(VE()), 0),))
    with pytest.raises(UserError, match="needs fields"):
        Product(())
