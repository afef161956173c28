"""Contract of every registered network, and what is particular to each."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pellucid.nn import NETWORKS, NetworkSpec, build

SPECS = {
    "unet-2d": NetworkSpec("unet", (1, 13, 10), width=16, blocks=1, patch=2, attention=(1,)),
    "unet-1d": NetworkSpec("unet", (3, 21), width=16, multipliers=(1, 2, 2), blocks=2),
    "dit-2d": NetworkSpec("dit", (3, 7, 10), width=24, blocks=2, patch=2, head_width=8),
    "dit-1d": NetworkSpec("dit", (2, 11), width=24, blocks=2, patch=4, head_width=12),
    "mlp": NetworkSpec("mlp", (2,), width=24, frequencies=3),
    "mlp-image": NetworkSpec("mlp", (2, 3, 4), width=24, blocks=1),
}


def conditioned(name: str, **changes) -> NetworkSpec:
    return NetworkSpec.from_json({**SPECS[name].to_json(), "num_classes": 4, "vector_dim": 3, **changes})


def random_network(spec: NetworkSpec) -> nn.Module:
    """The network with no parameter at zero, in float64, so that nothing is hidden by zero initialisation."""
    torch.manual_seed(0)
    network = build(spec).double().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network


def inputs(spec: NetworkSpec, batch: int):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, *spec.shape, generator=generator, dtype=torch.float64)
    c = torch.randn(batch, generator=generator, dtype=torch.float64) / 2
    label = torch.arange(batch) % 5
    return x, c, label, torch.randn(batch, 3, generator=generator, dtype=torch.float64)


def test_every_registered_network_is_under_contract():
    assert {spec.kind for spec in SPECS.values()} | {"sequence"} == set(NETWORKS)  # of tokens: test_sequence


@pytest.mark.parametrize("name", SPECS)
def test_starts_at_zero(name):
    spec = conditioned(name)
    x, c, label, vector = inputs(spec, 3)
    out = build(spec)(x.float(), c.float(), label=label[:3], vector=vector.float())
    assert torch.equal(out, torch.zeros_like(x.float()))


@pytest.mark.parametrize("name", SPECS)
def test_items_do_not_see_one_another(name):
    spec = conditioned(name)
    network = random_network(spec)
    x, c, label, vector = inputs(spec, 5)
    together = network(x, c, label=label, vector=vector)
    for i in range(5):
        one = slice(i, i + 1)
        alone = network(x[one], c[one], label=label[one], vector=vector[one])
        torch.testing.assert_close(alone, together[one], rtol=1e-9, atol=1e-9)  # float64, other summation order


@pytest.mark.parametrize("name", SPECS)
def test_no_label_is_the_null_label_and_labels_vectors_and_levels_matter(name):
    spec = conditioned(name)
    network = random_network(spec)
    x, c, label, vector = inputs(spec, 4)
    null = torch.full((4,), 4)
    assert torch.equal(network(x, c, vector=vector), network(x, c, label=null, vector=vector))
    base = network(x, c, label=label, vector=vector)
    for other in (
        network(x, c, label=null, vector=vector),
        network(x, c, label=label),
        network(x, c + 0.3, label=label, vector=vector),
    ):
        assert (other - base).flatten(1).abs().amax(1).min() > 1e-4


@pytest.mark.parametrize("name", SPECS)
def test_gradient_reaches_every_parameter(name):
    spec = conditioned(name)
    network = random_network(spec)
    x, c, label, vector = inputs(spec, 5)  # labels 0..4: every row of the embedding, the null one too
    network(x, c, label=label, vector=vector).square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", SPECS)
def test_derivative_agrees_with_finite_differences(name):
    spec = conditioned(name)
    network = random_network(spec)
    x, c, label, vector = inputs(spec, 2)
    direction, probe = torch.randn_like(x), torch.randn_like(x)

    def along(step):
        return (network(x + step * direction, c, label=label[:2], vector=vector) * probe).sum()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(along(step), step)
    h = 1e-5  # central differences: error h^2 f''' / 6 plus round-off 1e-16 / h, both below 1e-6 relative
    torch.testing.assert_close((along(h) - along(-h)) / (2 * h), slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SPECS)
def test_learned_variance_doubles_the_channels(name):
    spec = conditioned(name, output_multiplier=2)
    x, c, label, vector = inputs(spec, 2)
    out = random_network(spec)(x, c, label=label, vector=vector)
    assert out.shape == (2, 2 * spec.shape[0], *spec.shape[1:])
    assert not torch.allclose(out[:, : spec.shape[0]], out[:, spec.shape[0] :])


@pytest.mark.parametrize("name", ["unet-1d", "unet-2d"])
def test_unet_of_signals_is_a_unet_of_images_of_height_one(name):
    """A 2-D network whose 3×3 kernels are zero but for the middle row sees each row of an image alone."""
    flat = NetworkSpec("unet", (2, 11), width=16, multipliers=(1, 2), blocks=1)
    if name == "unet-2d":
        flat = NetworkSpec("unet", (2, 16), width=16, multipliers=(1, 2, 2), blocks=2)
    tall = NetworkSpec.from_json({**flat.to_json(), "shape": (2, 1, flat.shape[1])})
    one, two = random_network(flat), random_network(tall)
    state = two.state_dict()
    for key, value in one.state_dict().items():
        if value.ndim == 3:  # a kernel (out, in, 3) becomes the middle row of (out, in, 3, 3)
            state[key].zero_()
            state[key][:, :, state[key].shape[2] // 2] = value
        else:
            state[key].copy_(value.reshape(state[key].shape))
    two.load_state_dict(state)
    x, c, _, _ = inputs(flat, 3)
    torch.testing.assert_close(two(x[:, :, None], c)[:, :, 0], one(x, c), rtol=1e-9, atol=1e-9)


def test_unet_with_patches_sees_the_folded_image():
    """Patch 2 on an image is patch 1 on its folded channels, the result unfolded."""
    spec = NetworkSpec("unet", (2, 8, 12), width=16, patch=2, attention=(1,))
    folded = NetworkSpec.from_json({**spec.to_json(), "shape": (8, 4, 6), "patch": 1})
    network, inner = random_network(spec), random_network(folded)
    inner.load_state_dict(network.state_dict())
    x, c, _, _ = inputs(spec, 2)
    unshuffled = torch.nn.functional.pixel_unshuffle(x, 2)
    expected = torch.nn.functional.pixel_shuffle(inner(unshuffled, c), 2)
    torch.testing.assert_close(network(x, c), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["dit-1d", "dit-2d"])
def test_dit_without_positions_permutes_with_its_patches(name):
    spec = SPECS[name]
    shape = (2, 16) if name == "dit-1d" else (3, 8, 8)
    spec = NetworkSpec.from_json({**spec.to_json(), "shape": shape})
    network = random_network(spec)
    x, c, _, _ = inputs(spec, 2)
    # roll whole patches: a permutation of the tokens
    rolled = x.roll(2 * spec.patch, dims=-1)
    assert not torch.allclose(network(rolled, c), network(x, c).roll(2 * spec.patch, dims=-1))
    blind = copy.deepcopy(network)
    nn.init.zeros_(blind.position)
    expected = blind(x, c).roll(2 * spec.patch, dims=-1)
    torch.testing.assert_close(blind(rolled, c), expected, rtol=1e-9, atol=1e-9)


def test_dit_positions_differ_from_one_another():
    position = build(NetworkSpec("dit", (1, 12, 20), width=32, patch=2)).position.detach()
    distance = torch.cdist(position, position) + torch.eye(len(position)) * 1e3
    assert distance.min() > 0.1


def test_mlp_frequencies_are_sines_and_cosines_of_the_input():
    """Moving a coordinate by the period 8 of all added waves changes only what the plain inputs carry."""
    network = random_network(NetworkSpec("mlp", (2,), width=24, frequencies=3))
    nn.init.zeros_(network.door.weight[:, :2].detach())
    with torch.no_grad():
        network.door.weight[:, :2] = 0
    x, c = torch.randn(4, 2, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    torch.testing.assert_close(network(x + 8, c), network(x, c), rtol=1e-6, atol=1e-6)  # pi is float32: 1e-7
    assert not torch.allclose(network(x + 4, c), network(x, c))


def test_points_are_not_for_grids():
    for kind in ("unet", "dit"):
        with pytest.raises(ValueError, match="use an mlp"):
            build(NetworkSpec(kind, (2,)))
