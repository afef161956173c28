"""The codec of latents: a change of coordinates with a law, that says what it is and is read back from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pellucid.autoencoders import VAE, AutoencoderSpec, build_autoencoder
from pellucid.data.codecs import ImageCodec
from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.latents.codec import LatentCodec, as_trained, read_codec
from pellucid.nn.coder import choose_coder

from ..linear_latent import F64, D, LinearLatent, S

MEAN, STD = (0.3, -0.2), (1.5, 0.5)


@pytest.fixture(scope="module")
def codec() -> LatentCodec:
    """Of an untrained autoencoder of 8-bit pictures, whose decoder says something of every latent."""
    spec = AutoencoderSpec("vae", choose_coder((1, 8, 8), flat=False, width=8), latent=2, flat=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_autoencoder(spec)
        for weight in network.parameters():
            if not weight.abs().max():
                torch.nn.init.normal_(weight, std=0.3)
    assert isinstance(network, VAE)
    card = {"network": spec.to_json(), "codec": ImageCodec(1, 8, 8).to_json()}
    return LatentCodec(network.eval().requires_grad_(False), card, MEAN, STD, 0.25)


@pytest.fixture(scope="module")
def pictures() -> Any:
    return np.random.RandomState(0).randint(0, 256, (300, 1, 8, 8)).astype(np.uint8)


def test_latents_and_items_are_the_autoencoders_own_rescaled(codec: LatentCodec, pictures: Any) -> None:
    x = codec.items.encode(pictures)
    q = codec.network.encode(x)
    mean, std = (torch.tensor(values).reshape(2, 1, 1) for values in (MEAN, STD))
    z = codec.encode(pictures)
    torch.testing.assert_close(z, (q.mean - mean) / std)
    out = codec.network.decode(q.mean).mean
    torch.testing.assert_close(codec.outward(z), out, atol=1e-5, rtol=0)  # rescaled to and fro in float32
    near = (codec.decode(z).astype(int) - codec.items.decode(out).astype(int)).__abs__().max()
    assert near <= 1  # the level next to it, where round-off decides


def test_draws_have_the_encoders_law(codec: LatentCodec, pictures: Any) -> None:
    one = np.repeat(pictures[:1], 4000, axis=0)
    z = as_trained(codec, one, Stream.of(0, range(4000)))
    q = codec.posterior(codec.items.encode(pictures[:1]))
    error = (z.mean(0) - q.mean[0]) / q.log_std[0].exp() * 4000**0.5
    assert error.abs().max() < 4.5  # of 32 standard normal numbers
    ratio = z.std(0) / q.log_std[0].exp()
    assert (ratio - 1).abs().max() < 4.5 / 8000**0.5
    assert torch.equal(as_trained(codec.items, pictures, Stream.of(0, range(300))), codec.items.encode(pictures))


def test_the_density_of_draws_is_that_of_the_law() -> None:
    """Of the linear model the posterior of z is known: that of e, moved and stretched by the codec's constants."""
    exact = LinearLatent()
    q = exact.codec.posterior(exact.x)
    precision = exact.w.square().sum(0) / S**2 + 1 / exact.v
    mean = ((exact.x - exact.m) @ exact.w / S**2 + exact.mu / exact.v) / precision
    std, shift = torch.tensor(exact.std, dtype=F64), torch.tensor(exact.mean, dtype=F64)
    law = torch.distributions.Normal((mean - shift) / std, precision.rsqrt() / std)
    z = torch.randn(len(exact.x), 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(q.log_prob(z), law.log_prob(z).sum(1))
    assert exact.codec.outward(z).shape == (len(exact.x), D)


def test_it_is_read_back_with_its_weights_alone(codec: LatentCodec, pictures: Any) -> None:
    values = codec.to_json()
    assert values["weights"] == codec.weights_hash
    again = read_codec(values, codec.tensors())
    assert torch.equal(again.encode(pictures), codec.encode(pictures))
    assert again.to_json() == values
    plain = codec.items
    assert read_codec(plain.to_json(), None) == plain
    with pytest.raises(UserError, match="has the fields"):
        read_codec({key: value for key, value in values.items() if key != "std"}, codec.tensors())
    with pytest.raises(UserError, match="autoencoder is missing"):
        read_codec(values, None)


def test_what_is_decoded_can_be_pulled_from_beyond_white(codec: LatentCodec) -> None:
    """The middle of a law of levels is cut at the ends of their range; its gradient must not be, or a restoration that
    begins beyond them stays there."""
    far = torch.full((1, 2, *codec.shape[1:]), 60.0).requires_grad_()
    out = codec.outward(far)
    ends = out.abs() == 1
    assert bool(ends.any())
    (gradient,) = torch.autograd.grad(out[ends].sum(), far)
    assert gradient.abs().max() > 0
