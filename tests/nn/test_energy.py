"""Energy networks against automatic differentiation and the definition of a gradient field."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.nn import NetworkSpec, build, training_flops
from pellucid.nn.energy import EnergyNetwork

SPECS = {
    "mlp": NetworkSpec("mlp", (3,), width=16, blocks=2, frequencies=2, num_classes=2, energy=True),
    "unet": NetworkSpec("unet", (2, 7), width=8, blocks=1, attention=(0, 1), patch=2, num_classes=2, energy=True),
    "dit": NetworkSpec("dit", (1, 4, 4), width=32, blocks=1, patch=2, num_classes=2, energy=True),
}


@pytest.fixture(params=SPECS, scope="module")
def network(request):
    torch.manual_seed(0)
    network = build(SPECS[request.param]).double()
    for weight in network.parameters():  # no layer at zero, so that all of it is seen
        torch.nn.init.normal_(weight, std=0.3)
    return network, SPECS[request.param].shape


def inputs(shape):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, *shape, dtype=torch.float64, generator=generator)
    return x, torch.tensor([0.3, -0.5], dtype=torch.float64), torch.tensor([0, 1])


def test_the_output_is_the_slope_of_the_potential(network):
    """By central differences in a direction: an error of order 1e-10 at a step of 1e-5 in float64."""
    net, shape = network
    x, c, label = inputs(shape)
    way = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        up, down = (net.potential(x + e * way, c, label=label) for e in (1e-5, -1e-5))
        along = (net(x, c, label=label) * way).flatten(1).sum(1)
    torch.testing.assert_close(along, (up - down) / 2e-5, rtol=1e-6, atol=1e-7)


def test_its_jacobian_is_symmetric(network):
    net, shape = network
    x, c, label = inputs(shape)
    jacobian = torch.autograd.functional.jacobian(lambda one: net(one[None], c[:1], label=label[:1])[0], x[0])
    square = jacobian.reshape(x[0].numel(), -1)
    assert square.abs().max() > 1e-3
    torch.testing.assert_close(square, square.T, rtol=0, atol=1e-10 * float(square.abs().max() + 1))


def test_every_weight_learns_through_the_second_backward_pass(network):
    """The loss of the slope reaches all weights, by the value that central differences give for one of them."""
    net, shape = network
    x, c, label = inputs(shape)

    def loss():
        return net(x, c, label=label).square().sum()

    weights = dict(net.named_parameters())
    slopes = torch.autograd.grad(loss(), list(weights.values()), allow_unused=True)
    assert [name for name, s in zip(weights, slopes, strict=True) if s is None or not s.any()] == []
    weight, slope = next(iter(weights.values())), slopes[0]
    with torch.no_grad():
        weight.view(-1)[0] += 1e-6
        up = loss()
        weight.view(-1)[0] -= 2e-6
        down = loss()
        weight.view(-1)[0] += 1e-6
    torch.testing.assert_close(slope.flatten()[0], (up - down) / 2e-6, rtol=1e-5, atol=1e-6)


def test_without_a_graph_there_is_none_and_with_one_it_reaches_the_input():
    net = build(SPECS["mlp"])
    x, c = torch.randn(4, 3), torch.zeros(4)
    with torch.no_grad():
        assert not net(x, c).requires_grad
    x.requires_grad_()
    (back,) = torch.autograd.grad(net(2 * x, c).sum(), x)
    assert back.shape == x.shape


def test_it_starts_at_the_normal_law():
    """Networks start at zero, and so do the potential and its slope."""
    net = build(SPECS["unet"])
    x = torch.randn(3, 2, 7)
    assert not net(x, torch.zeros(3)).any()
    assert isinstance(net, EnergyNetwork)


def test_its_cost_is_counted_with_the_second_pass():
    """The slope's pass and its backward one double the cost of all that the input reaches: here most of the network."""
    plain = training_flops(replace(SPECS["mlp"], energy=False))
    assert 1.4 < training_flops(SPECS["mlp"]) / plain < 3.5


def test_what_cannot_be_a_slope_is_refused():
    with pytest.raises(UserError, match="learned variance"):
        build(NetworkSpec("mlp", (2,), width=8, output_multiplier=2, energy=True))
    with pytest.raises(UserError, match=r"training\.compile=false"):
        build(SPECS["mlp"]).compile()
