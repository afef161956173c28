"""Offsets, and bounds for data on a grid."""

from __future__ import annotations

import math

import pytest
import torch
from exact import F64, mixture, process

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.likelihood import UniformNoise, VariationalNoise, bits_per_dim, dequantised, fit_noise, log_prob
from pellucid.oracles import MixtureOracle

BIN = 1 / 127.5


def test_offsets() -> None:
    entropy = 0.5 * math.log(2 * math.pi * math.e) * 784  # of N(0, I)
    assert bits_per_dim(entropy, 784) == pytest.approx(2.0470956, abs=1e-7)
    assert bits_per_dim(entropy, 784, 2 / 256) == bits_per_dim(entropy, 784) + 7
    assert bits_per_dim(0.0, 3, BIN) == pytest.approx(math.log2(127.5), abs=1e-15)
    torch.testing.assert_close(bits_per_dim(torch.tensor([math.log(2)]), 1), torch.ones(1))
    with pytest.raises(UserError, match="bin_width"):
        bits_per_dim(1.0, 1, 0.0)
    with pytest.raises(UserError, match="num_values"):
        bits_per_dim(1.0, 0)


def test_uniform_data_cost_eight_bits() -> None:
    """256 equally likely levels: the density over [-1, 1] is flat in the middle, and every bin costs log2 256 bits."""
    means = (torch.arange(256, dtype=F64) / 127.5 - 1)[:, None]
    oracle = MixtureOracle(process("rectified"), means, torch.full((256,), BIN**2, dtype=F64))
    x = means[50:200:10]
    found = dequantised(lambda y: log_prob(oracle, y, steps=128), x, UniformNoise(BIN))
    bits = bits_per_dim(-found.value, 1)
    # Smoothing by one bin is flat to exp(-2 pi^2) = 3e-9 here; 128 steps integrate to 1e-3 nats.
    torch.testing.assert_close(bits, torch.full_like(bits, 8.0), rtol=0, atol=2e-3)


def bin_probability(oracle: MixtureOracle, x: torch.Tensor, width: float) -> torch.Tensor:
    inside = torch.linspace(-0.5, 0.5, 2001, dtype=F64) * width
    density = oracle.log_prob((x + inside).reshape(-1, 1)).exp().reshape(len(x), -1)
    return torch.trapezoid(density, inside, dim=1).log()


def test_importance_weighting_tightens() -> None:
    """Wide bins on a one-dimensional law: the bound rises with K towards the bin's own probability."""
    width = 1.5
    oracle = mixture("cosine", 1)
    x = torch.tensor([-1.5, 0.0, 1.5], dtype=F64).repeat(300)[:, None]
    exact = bin_probability(oracle, x, width).mean().item()
    values = [
        dequantised(lambda y: log_prob(oracle, y, steps=64), x, UniformNoise(width), importance_samples=k).value
        for k in (1, 4, 16)
    ]
    means = [value.mean().item() for value in values]
    errors = [value.reshape(300, 3).std(0).mean().item() / 900**0.5 for value in values]
    assert means[0] + 4 * errors[0] < means[1] + 2 * errors[1] < means[2] + 2 * errors[2]
    assert means[2] < exact + 4 * errors[2]
    assert exact - means[2] < 0.2 * (exact - means[0])


def test_learned_noise_is_a_law_within_the_bin() -> None:
    torch.manual_seed(0)
    noise = VariationalNoise(1, 0.5)
    x = torch.randn(1, 1, 4, 4).expand(3, -1, -1, -1)
    ids = torch.arange(3)
    d, log_q = noise.draw(x, Stream(0, ids), 0)
    # It starts uniform: log q = -16 log 0.5.
    torch.testing.assert_close(log_q, torch.full_like(log_q, -16 * math.log(0.5)), rtol=0, atol=1e-4)
    assert d.abs().max() <= 0.25
    with torch.no_grad():
        noise.out.bias.copy_(torch.tensor([0.7, -0.4]))
        d, log_q = noise.draw(torch.zeros(200_000, 1, 1, 1), Stream(0, torch.arange(200_000)), 0)
    # E 1/q over q is the length of its support, 0.5; its standard error is 0.5 times a spread of about 1 over sqrt(n).
    inverse = (-log_q).exp()
    assert abs(inverse.mean().item() - 0.5) < 5 * inverse.std().item() / 200_000**0.5
    assert d.mean() > 0.05


def test_learned_noise_tightens() -> None:
    """Pictures on wide bins near the edge of a narrow law: noise that leans inwards is likelier than uniform noise."""
    width = 0.5
    oracle = MixtureOracle(process("cosine"), torch.zeros(1, 1, 2, 2), torch.full((1,), 0.05))
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(300, 1, 2, 2, generator=generator) * 0.25 / width).round() * width
    noise = fit_noise(oracle, x[:150], bin_width=width, steps=200)

    def density(y: torch.Tensor):  # type: ignore[no-untyped-def]
        return log_prob(oracle, y, trace="exact", steps=48)

    uniform, learned = (dequantised(density, x[150:], q).value for q in (UniformNoise(width), noise))
    exact = (
        torch.stack(
            [bin_probability(mixture_1d(), value.reshape(1, 1).double(), width).sum() for value in x[150:].flatten()]
        )
        .reshape(150, 4)
        .sum(1)
    )
    gain = learned - uniform
    assert gain.mean() > 4 * gain.std() / 150**0.5
    assert learned.mean() < exact.mean() + 4 * learned.std() / 150**0.5
    # It takes most of what the uniform law gives away.
    assert (exact.mean() - learned.mean()) < 0.5 * (exact.mean() - uniform.mean())


def mixture_1d() -> MixtureOracle:
    return MixtureOracle(process("cosine"), torch.zeros(1, 1, dtype=F64), torch.full((1,), 0.05, dtype=F64))
