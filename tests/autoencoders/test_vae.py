"""The VAE's parts against torch's own distributions, and its conditions."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.autoencoders import VAE, AutoencoderSpec, DiagonalNormal, build_autoencoder, elbo, latents
from pellucid.foundations.errors import UserError
from pellucid.nn import NetworkSpec
from pellucid.nn.coder import choose_coder
from pellucid.train.fit import fit


def vae(shape: tuple[int, ...] = (1, 8, 8), **changes: object) -> VAE:
    torch.manual_seed(0)
    network = choose_coder(shape, width=8, num_classes=3)
    law = "logistic" if len(shape) == 3 else "normal"
    model = build_autoencoder(
        AutoencoderSpec(**{"kind": "vae", "network": network, "latent": 4, "law": law, **changes})
    )
    assert isinstance(model, VAE)
    for weight in model.parameters():
        if not weight.abs().max():  # zero at the start, where conditions would not be seen
            torch.nn.init.normal_(weight, std=0.1)
    return model.eval()


def pixels(num: int = 6, shape: tuple[int, ...] = (1, 8, 8)) -> torch.Tensor:
    return torch.randint(0, 256, (num, *shape), generator=torch.Generator().manual_seed(1)) / 127.5 - 1


def test_divergence_of_each_value_is_torchs() -> None:
    torch.manual_seed(0)
    q = DiagonalNormal(torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64))
    normal = torch.distributions.Normal(q.mean, q.log_std.exp())
    standard = torch.distributions.Normal(torch.zeros(()).double(), torch.ones(()).double())
    torch.testing.assert_close(q.kl(), torch.distributions.kl_divergence(normal, standard))
    z = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(z), normal.log_prob(z).sum(1))


def test_the_loss_is_the_negative_elbo_for_each_value() -> None:
    model, x = vae(), pixels()
    noise = torch.randn(6, 4)
    q = model.encode(x)
    log_p = model.decode(q.mean + q.log_std.exp() * noise).log_prob(x)
    for beta in (1.0, 0.25):
        expected = (beta * q.kl().sum(1) - log_p) / 64
        torch.testing.assert_close(model.losses(x, noise, beta=beta), expected)


def test_free_bits_cost_nothing_below_their_floor() -> None:
    model, x, noise = vae(), pixels(), torch.randn(6, 4)
    with_floor = model.losses(x, noise, free_bits=1e9)  # every value is below it: only the decoder's law teaches
    grads = torch.autograd.grad(with_floor.sum(), model.encoder.out.weight)[0]
    only = -model.decode(model.encode(x).latent(noise)).log_prob(x) / 64
    torch.testing.assert_close(grads, torch.autograd.grad(only.sum(), model.encoder.out.weight)[0])
    # and above it the loss is the plain one
    torch.testing.assert_close(model.losses(x, noise, free_bits=1e-9), model.losses(x, noise))


@pytest.mark.parametrize("shape", [(4,), (2, 12), (1, 7, 9), (3, 16, 16)])
@pytest.mark.parametrize("flat", [True, False])
def test_codes_and_laws_have_the_shapes_they_promise(shape: tuple[int, ...], flat: bool) -> None:
    if len(shape) == 1 and not flat:
        with pytest.raises(UserError, match="vectors for latents"):
            vae(shape, flat=False)
        return
    model = vae(shape, flat=flat)
    x = pixels(3, shape)
    q = model.encode(x)
    assert q.mean.shape == (3, *model.latent_shape)
    decoded = model.decode(q.latent(torch.randn(3, *model.latent_shape)))
    assert decoded.mean.shape == x.shape
    assert decoded.log_prob(x).shape == (3,)


def test_items_do_not_meet() -> None:
    model, x = vae(), pixels()
    torch.testing.assert_close(model.encode(x).mean[2:4], model.encode(x[2:4]).mean, rtol=1e-4, atol=1e-5)


def test_a_label_reaches_both_networks_and_none_is_the_last() -> None:
    model, x, z = vae(), pixels(), torch.randn(6, 4)
    one, two, none = (torch.full((6,), k) for k in (0, 1, 3))
    assert not torch.allclose(model.encode(x, label=one).mean, model.encode(x, label=two).mean)
    assert not torch.allclose(model.decode(z, label=one).mean, model.decode(z, label=two).mean)
    torch.testing.assert_close(model.decode(z, label=none).mean, model.decode(z).mean)


def test_a_label_changes_each_place_in_its_own_way() -> None:
    """Told of the label channel by channel alone, a decoder cannot draw one class here and another there."""
    decoder = vae().decoder
    torch.nn.init.zeros_(decoder.door.weight)
    torch.nn.init.zeros_(decoder.door.bias)  # no z: what is left depends on the place by the label or not at all
    for stage in decoder.levels.modules():
        if isinstance(stage, torch.nn.Conv2d):
            stage.padding_mode = "circular"
            stage._reversed_padding_repeated_twice = [stage.padding[0]] * 4
    decoder.out.padding_mode = "circular"
    decoder.out._reversed_padding_repeated_twice = [decoder.out.padding[0]] * 4
    z = torch.zeros(2, 4)
    one, two = decoder(z, label=torch.tensor([0, 1]))
    difference = one[0] - two[0]
    assert difference.std() > 1e-3


def test_the_divergence_is_from_the_class_own_law() -> None:
    """Divergences do not change with coordinates: KL(q || p(z given y)) where the networks see z, by torch."""
    model, x, label = vae(), pixels(), torch.tensor([0, 1, 2, 3, 0, 1])
    mean, log_std = model.encoder(x, label=label).chunk(2, dim=1)
    place, log_spread = model.places.weight[label].chunk(2, dim=1)
    own = torch.distributions.Normal(place, log_spread.exp())
    expected = torch.distributions.kl_divergence(torch.distributions.Normal(mean, log_std.exp()), own)
    # float32, of squares of order one, differences of which are left
    torch.testing.assert_close(model.encode(x, label=label).kl(), expected, rtol=1e-4, atol=1e-5)
    z = torch.randn(6, 4)
    seen = model.decoder(place + log_spread.exp() * z, label=label)
    torch.testing.assert_close(model.decode(z, label=label).given.flatten(1), seen.flatten(1))


def test_a_class_conditional_vae_learns_each_class() -> None:
    """Two classes at +2 and -2 with no spread to speak of: p(x given z, y) must sit at the class's own place."""
    torch.manual_seed(0)
    network = NetworkSpec("mlp", (2,), width=16, blocks=1, num_classes=2)
    model = build_autoencoder(AutoencoderSpec("vae", network, latent=1, law="normal"))
    assert isinstance(model, VAE)
    label = torch.arange(64) % 2
    generator = torch.Generator().manual_seed(2)
    x = (4.0 * label - 2)[:, None] + 0.1 * torch.randn(64, 2, generator=generator)

    def loss(step: int) -> torch.Tensor:
        return model.losses(x, torch.randn(64, 1, generator=generator), label=label).mean()

    learned = fit(model, loss, num_steps=300, lr=1e-2)
    made = learned.decode(torch.randn(64, 1, generator=generator), label=label).mean
    # the data's spread is 0.1: a class's picture that is within 0.5 of it cannot be the other's, 4 away
    assert (made - (4.0 * label - 2)[:, None]).abs().max() < 0.5


def test_a_collapsed_posterior_is_named() -> None:
    """Noise without structure and a divergence that costs much: q goes to p, and z says nothing."""
    torch.manual_seed(0)
    network = NetworkSpec("mlp", (2,), width=16, blocks=1)
    model = build_autoencoder(AutoencoderSpec("vae", network, latent=4, law="normal"))
    assert isinstance(model, VAE)
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(256, 2, generator=generator)
    learned = fit(
        model, lambda step: model.losses(x, torch.randn(256, 4, generator=generator), beta=20.0).mean(), num_steps=200
    )
    found = latents(elbo(learned, x).kl)
    assert found.collapsed
    assert found.sentence().startswith("posterior collapse: 0 of 4 latent values")
    assert "autoencoder.beta" in found.sentence()


def test_latents_that_carry_something_are_counted() -> None:
    kl = torch.zeros(10, 4) + torch.tensor([0.0, 3.0, 0.02, 0.005])
    found = latents(kl)
    assert found.kl == pytest.approx((3.0, 0.02, 0.005, 0.0))
    assert (found.active, found.collapsed) == (2, False)
    assert found.sentence() == "2 of 4 latent values carry information, 3.02 nats in all"
    with pytest.raises(UserError, match="no items"):
        latents(kl[:0])


def test_pictures_off_the_levels_are_refused() -> None:
    with pytest.raises(UserError, match="8-bit pictures"):
        elbo(vae(), torch.rand(2, 1, 8, 8))


def test_the_description_survives_json_and_refuses_nonsense() -> None:
    network = choose_coder((1, 28, 28), width=8)
    spec = AutoencoderSpec("fsq", network, latent=3, flat=False, levels=(8, 5, 5))
    assert AutoencoderSpec.from_json(spec.to_json()) == spec
    assert spec.latent_shape == (3, *spec.latent_shape[1:])
    with pytest.raises(UserError, match="did you mean 'latent'"):
        AutoencoderSpec.from_json({**spec.to_json(), "latnt": 3})
    with pytest.raises(UserError, match="one number, at least 2, for each channel"):
        AutoencoderSpec("fsq", network, latent=3, levels=(8, 5))
    with pytest.raises(UserError, match="at least 2 codes"):
        AutoencoderSpec("vq", network, latent=3)
    with pytest.raises(UserError, match="did you mean 'vae'"):
        build_autoencoder(AutoencoderSpec("vea", network))
    with pytest.raises(UserError, match="use the law 'normal'"):
        build_autoencoder(AutoencoderSpec("vae", choose_coder((5,)), law="logistic"))
    with pytest.raises(UserError, match="use an mlp"):
        build_autoencoder(AutoencoderSpec("vae", NetworkSpec("conv", (5,)), law="normal"))


def test_zero_bits_at_the_start_is_no_accident() -> None:
    """A fresh decoder gives the middle and a scale of 1 for every value: log p is that of the law, by hand."""
    torch.manual_seed(0)
    model = build_autoencoder(AutoencoderSpec("vae", choose_coder((3,)), latent=2, law="normal"))
    x = torch.randn(4, 3)
    expected = -0.5 * x.square().sum(1) - 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(model.decode(torch.randn(4, 2)).log_prob(x), expected)
