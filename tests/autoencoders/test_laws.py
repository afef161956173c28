"""Decoder laws against probabilities computed independently, and against their own draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from pellucid.autoencoders import Decoded, Logistic, Normal, make_law
from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream

GRID = torch.arange(256, dtype=torch.float64) / 127.5 - 1


def given(components: int, num: int, *, scale: float = 0.0, spread: float = 0.6) -> torch.Tensor:
    """Numbers for `num` values, (1, P, num)."""
    torch.manual_seed(components)
    law = Logistic(components)
    out = spread * torch.randn(1, law.parameters, num, dtype=torch.float64)
    out[:, components : 2 * components] += scale
    return out


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("scale", [-6.0, -3.0, 0.0, 2.0])
def test_the_256_levels_sum_to_one(components: int, scale: float) -> None:
    law = Logistic(components)
    numbers = given(components, 20, scale=scale)
    every = numbers[..., None].expand(-1, -1, -1, 256)
    total = law.log_prob(GRID.expand(1, 20, 256), every).exp().sum(-1)
    # float64, 256 terms: round-off alone
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)


def test_a_level_has_the_probability_of_its_bin_by_scipy() -> None:
    law, numbers = Logistic(), given(1, 256, scale=-2.0)
    mean, scale = (numbers[0, i].numpy() for i in range(2))
    edges = np.concatenate([[-np.inf], (GRID[:-1].numpy() + GRID[1:].numpy()) / 2, [np.inf]])
    cdf = scipy.stats.logistic.cdf
    expected = cdf(edges[1:], mean, np.exp(scale)) - cdf(edges[:-1], mean, np.exp(scale))
    found = law.log_prob(GRID[None], numbers)[0].exp().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)  # scipy's difference of two numbers near 1


def test_a_mixture_is_the_weighted_sum_of_its_parts_with_spread_means() -> None:
    law, numbers = Logistic(3), given(3, 256, scale=-2.0)
    mean, log_scale, logits = numbers.chunk(3, dim=1)
    weights = logits.softmax(1)
    shift = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    parts = [
        weights[:, j] * Logistic().log_prob(GRID[None], torch.stack([mean[:, j] + shift[j], log_scale[:, j]], 1)).exp()
        for j in range(3)
    ]
    torch.testing.assert_close(law.log_prob(GRID[None], numbers).exp(), sum(parts))


def test_far_in_the_tail_float32_keeps_the_digits() -> None:
    # 40 scales out the probability is 1e-17 of a bin's: as a difference of two float32 numbers it would be 0 - 0
    numbers = torch.tensor([[[-0.5], [-4.0]]])
    x = GRID[200].float().reshape(1, 1)
    found = Logistic().log_prob(x, numbers).item()
    exact = Logistic().log_prob(x.double(), numbers.double()).item()
    tail = scipy.stats.logistic.logsf((GRID[200].item() - 1 / 255 + 0.5) / math.exp(-4.0))
    assert found == pytest.approx(exact, rel=1e-5)
    assert exact == pytest.approx(tail + math.log(-math.expm1(-1 / 127.5 / math.exp(-4.0))), rel=1e-9)


@pytest.mark.parametrize("components", [1, 4])
def test_gradients_are_finite_at_every_level_and_at_the_edges(components: int) -> None:
    numbers = given(components, 256, spread=3.0, scale=-6.0).float().requires_grad_()
    Logistic(components).log_prob(GRID.float()[None], numbers).sum().backward()
    assert numbers.grad is not None
    assert numbers.grad.isfinite().all()


@pytest.mark.parametrize("components", [1, 3])
def test_draws_follow_the_law(components: int) -> None:
    law, num = Logistic(components), 20_000
    numbers = given(components, 1, scale=-1.5)
    x = law.sample(numbers.expand(num, -1, -1), Stream.of(3, range(num)))[:, 0]
    law.check(x)
    counts = torch.bincount(((x + 1) * 127.5).round().long(), minlength=256).double()
    p = law.log_prob(GRID[None], numbers.expand(1, -1, 256)).exp()[0]
    keep = p * num > 5
    chi2 = ((counts - p * num).square() / (p * num))[keep].sum().item()
    # chi squared with so many degrees of freedom: beyond the upper 1e-4 quantile is a fault, not chance
    assert chi2 < scipy.stats.chi2.isf(1e-4, int(keep.sum()))


def test_normal_is_torchs_and_draws_what_it_says() -> None:
    torch.manual_seed(0)
    numbers = torch.randn(7, 2, 5, dtype=torch.float64)
    x = torch.randn(7, 5, dtype=torch.float64)
    decoded = Decoded(Normal(), numbers)
    expected = torch.distributions.Normal(numbers[:, 0], numbers[:, 1].exp()).log_prob(x).sum(1)
    torch.testing.assert_close(decoded.log_prob(x), expected)
    stream = Stream.of(1, range(7))
    e = stream.normal((5,), step=2)[0, 0].double()
    torch.testing.assert_close(decoded.sample(stream, step=2), numbers[:, 0] + numbers[:, 1].exp() * e)


def test_decoded_parts_the_channels_by_parameter() -> None:
    out = torch.arange(2 * 6 * 4.0).reshape(2, 6, 4)  # 3 channels of 4, 2 numbers each
    decoded = Decoded.of(Normal(), out)
    assert torch.equal(decoded.mean, out[:, :3])
    assert decoded.given.shape == (2, 2, 3, 4)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="at least 1 component"):
        Logistic(0)
    with pytest.raises(UserError, match="only the logistic law is a mixture"):
        make_law("normal", 5)
    with pytest.raises(UserError, match="did you mean 'logistic'"):
        make_law("logistik")
    with pytest.raises(UserError, match="8-bit pictures"):
        Logistic().check(torch.tensor([0.3001]))
    with pytest.raises(UserError, match="8-bit pictures"):
        Logistic().check(torch.tensor([1 + 1 / 127.5]))
    Logistic().check(GRID.float())
