"""What is not there of a series changes nothing: not by what stands in its place, nor by how much of it there is."""

from __future__ import annotations

import pytest
import torch

from pellucid import UserError
from pellucid.config import ProcessSettings
from pellucid.model import make_denoiser
from pellucid.nn import ConditionSpec, NetworkSpec, build
from pellucid.nn.network import steps_of
from pellucid.train.batches import Batch
from pellucid.train.objective import objective

CHANNELS, LONGEST = 3, 24

SPECS = {
    "unet": {"kind": "unet", "multipliers": (1, 2, 2), "attention": (1, 2)},
    "unet, patches": {"kind": "unet", "multipliers": (1, 2), "attention": (1,), "patch": 2},
    "unet, patches of 3": {"kind": "unet", "multipliers": (1, 2), "patch": 3},
    "dit": {"kind": "dit"},
    "dit, patches": {"kind": "dit", "patch": 4},
}


def spec(name, **more):
    shape = (CHANNELS, LONGEST)
    presence = (ConditionSpec("presence", "presence", CHANNELS, shape),)
    return NetworkSpec(shape=shape, width=16, blocks=2, num_classes=2, conditions=presence, **SPECS[name], **more)


def denoiser(name, **more):
    """With random weights everywhere: at initialisation the network is zero, and would pass any test."""
    torch.manual_seed(0)
    network = build(spec(name, **more))
    for weight in network.parameters():
        if not weight.abs().max():
            torch.nn.init.normal_(weight, std=0.1)
    return make_denoiser(network, ProcessSettings(sigma_data=1.0)).eval()


def noise(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def series(lengths, longest):
    """Series with holes in single channels, and what is there of them."""
    x = noise(len(lengths), CHANNELS, max(lengths))
    there = torch.ones_like(x) * (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None, None])
    there[:, 1, 2:4] = 0
    there[0, :, 3] = 0
    more = longest - max(lengths)
    return torch.nn.functional.pad(x, (0, more)), torch.nn.functional.pad(there, (0, more))


T = torch.tensor([0.3, 0.6, 0.8])
LABEL = torch.tensor([0, 1, 2])


@pytest.mark.parametrize("name", SPECS)
@torch.no_grad()
def test_what_stands_where_nothing_is_does_not_matter(name):
    model = denoiser(name)
    x, there = series((13, 24, 5), LONGEST)
    found = model(x, T, label=LABEL, presence=there)
    other = model(torch.where(there > 0, x, 1e3 * noise(*x.shape, seed=2)), T, label=LABEL, presence=there)
    torch.testing.assert_close(found, other, rtol=0, atol=0)
    assert (found[there == 0] == 0).all()
    # and what is there does matter, on both sides of a hole
    for step in (0, 12):
        moved = x.clone()
        moved[0, 0, step] += 1
        assert (model(moved, T, label=LABEL, presence=there) - found)[0].abs().max() > 1e-3


@pytest.mark.parametrize("name", SPECS)
@torch.no_grad()
def test_how_long_the_padding_is_does_not_matter(name):
    """Sums of other lengths are rounded otherwise: 1e-5 is a hundred float32 units of values about 1."""
    model = denoiser(name)
    long, there = series((13, 17, 5), LONGEST)
    found = model(long, T, label=LABEL, presence=there)
    for longest in (17, 18, 21):
        x, shorter = series((13, 17, 5), longest)
        torch.testing.assert_close(
            model(x, T, label=LABEL, presence=shorter), found[..., :longest], rtol=1e-4, atol=1e-5
        )
    # one series, alone and without padding at all, is all there: nothing needs to be said of it
    whole = noise(1, CHANNELS, 11, seed=4)
    padded = torch.nn.functional.pad(whole, (0, 13))
    inside = torch.nn.functional.pad(torch.ones_like(whole), (0, 13))
    alone = model(whole, T[:1], label=LABEL[:1])
    torch.testing.assert_close(
        model(padded, T[:1], label=LABEL[:1], presence=inside)[..., :11], alone, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", ["unet", "dit, patches"])
def test_the_loss_and_its_gradient_do_not_depend_on_the_padding(name):
    """A series' loss is a mean over what is there of it, by hand; its gradient follows."""
    model = denoiser(name)
    found, gradients = [], []
    for longest, rubbish in ((17, 0.0), (24, 0.0), (24, 50.0)):
        x, there = series((13, 17, 5), longest)
        z = torch.nn.functional.pad(noise(3, CHANNELS, 17, seed=3), (0, longest - 17))
        z = torch.where(there > 0, z, rubbish)
        factor = 1 / there.flatten(1).mean(1)
        losses = objective(model, Batch(x * there, T, z, {"label": LABEL, "presence": there}, factor))
        model.zero_grad()
        losses.sum().backward()
        found.append(losses.detach())
        gradients.append(torch.cat([p.grad.flatten()[:50] for p in model.parameters() if p.grad is not None]))
        with torch.no_grad():
            made = model(model.process.corrupt(x * there, T, z), T, label=LABEL, presence=there)
        weight = model.process.weighting.at(model.process.schedule, T)
        by_hand = [weight[i] * (made - x)[i][there[i] > 0].square().sum() / there[i].sum() for i in range(3)]
        torch.testing.assert_close(losses.detach(), torch.stack(by_hand), rtol=1e-5, atol=1e-6)
    for losses, gradient in zip(found[1:], gradients[1:], strict=True):
        torch.testing.assert_close(losses, found[0], rtol=1e-4, atol=1e-5)
        # positions behind the shorter series' end have no gradient in the one network, and zero in the other
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-3, atol=1e-4)


def test_the_end_of_a_series_is_its_last_step():
    there = torch.tensor([[[0.0, 1, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]], [[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]]])
    assert steps_of(there)[:, 0].tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0]]


def test_networks_that_cannot_leave_out_are_refused():
    shape = (CHANNELS, LONGEST)
    presence = (ConditionSpec("presence", "presence", CHANNELS, shape),)
    with pytest.raises(UserError, match="are for a unet or a dit"):
        build(NetworkSpec("mlp", shape, conditions=presence))
    with pytest.raises(UserError, match="which is no condition of kind presence"):
        denoiser("unet")(torch.zeros(1, *shape), T[:1], presence=torch.ones(1, 2, LONGEST))
