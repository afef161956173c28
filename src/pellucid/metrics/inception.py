"""The Inception network of the Frechet Inception distance: 2,048 numbers of a picture.

The Frechet distance of Heusel et al. ("GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", 2017) is that of one network with one set of weights: Inception v3 (Szegedy et al., "Rethinking the
Inception Architecture for Computer Vision", 2016, table 1) as it was published with TensorFlow on 5 December 2015. The
weights are read from a file that a person gives, such as pt_inception-2015-12-05-6726825d.pth; their names say what
they are, and other weights are refused. Where that network departs from the paper's description, it is told below.

    input     levels brought to 299 x 299 by `pictures.resized`, (u - 128) / 128
    output    the mean over the 8 x 8 positions behind the last block
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..foundations.errors import UserError
from ..foundations.weights import read_weights
from .pictures import levels, resized

SIDE, SIZE = 299, 2048
_CLASSES = 1008  # of the published network; a later one has 1,000


class _Conv(nn.Module):
    """A convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1) -> None:
        super().__init__()
        high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        # Strided convolutions and the two at the beginning do not pad.
        padding = (0, 0) if stride == 2 else (high // 2, wide // 2)
        self.conv = nn.Conv2d(inputs, outputs, (high, wide), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def _unpadded(inputs: int, outputs: int, kernel: int) -> _Conv:
    found = _Conv(inputs, outputs, kernel)
    found.conv.padding = (0, 0)
    return found


def _mean(x: Tensor) -> Tensor:
    """The mean over 3 x 3 positions: at the edge, over those inside the map, which is this network's way."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _Side35(nn.Module):
    """A block on 35 x 35 positions: factors of one, five and twice three, and a pooled one."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = _Conv(inputs, 48, 1), _Conv(48, 64, 5)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 64, 1), _Conv(64, 96, 3)
        self.branch3x3dbl_3 = _Conv(96, 96, 3)
        self.branch_pool = _Conv(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        parts = [self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, self.branch_pool(_mean(x))]
        return torch.cat(parts, 1)


class _To17(nn.Module):
    """From 35 x 35 to 17 x 17 positions."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(inputs, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 64, 1), _Conv(64, 96, 3)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class _Side17(nn.Module):
    """A block on 17 x 17 positions: seven by seven in factors of rows and columns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(768, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = _Conv(768, width, 1), _Conv(width, width, (1, 7))
        self.branch7x7_3 = _Conv(width, 192, (7, 1))
        self.branch7x7dbl_1, self.branch7x7dbl_2 = _Conv(768, width, 1), _Conv(width, width, (7, 1))
        self.branch7x7dbl_3, self.branch7x7dbl_4 = _Conv(width, width, (1, 7)), _Conv(width, width, (7, 1))
        self.branch7x7dbl_5 = _Conv(width, 192, (1, 7))
        self.branch_pool = _Conv(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(_mean(x))], 1)


class _To8(nn.Module):
    """From 17 x 17 to 8 x 8 positions."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = _Conv(768, 192, 1), _Conv(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = _Conv(768, 192, 1), _Conv(192, 192, (1, 7))
        self.branch7x7x3_3, self.branch7x7x3_4 = _Conv(192, 192, (7, 1)), _Conv(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        long = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), long, F.max_pool2d(x, 3, stride=2)], 1)


class _Side8(nn.Module):
    """A block on 8 x 8 positions: rows and columns side by side.

    Its pooled branch takes the mean in the first of the two blocks, and in the second, as published, the greatest.
    """

    def __init__(self, inputs: int, greatest: bool) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 320, 1)
        self.branch3x3_1 = _Conv(inputs, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = _Conv(384, 384, (1, 3)), _Conv(384, 384, (3, 1))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 448, 1), _Conv(448, 384, 3)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = _Conv(384, 384, (1, 3)), _Conv(384, 384, (3, 1))
        self.branch_pool = _Conv(inputs, 192, 1)
        self.greatest = greatest

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.greatest else _mean(x)
        parts = [self.branch1x1(x), self.branch3x3_2a(single), self.branch3x3_2b(single)]
        parts += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(pooled)]
        return torch.cat(parts, 1)


class Inception(nn.Module):
    """The network, (B, 1 or 3, H, W) in [-1, 1] to (B, 2048); its weights have the names of the published file."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = _Conv(3, 32, 3, 2), _unpadded(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = _Conv(64, 80, 1), _unpadded(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _Side35(192, 32), _Side35(256, 64), _Side35(288, 64)
        self.Mixed_6a = _To17(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(_Side17, (128, 160, 160, 192))
        self.Mixed_7a = _To8()
        self.Mixed_7b, self.Mixed_7c = _Side8(1280, greatest=False), _Side8(2048, greatest=True)

    def forward(self, x: Tensor) -> Tensor:
        """Features, (B, 2048)."""
        h = (resized(levels(x), SIDE) - 128) / 128
        h = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(h)))
        h = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(h, 3, stride=2)))
        h = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(h, 3, stride=2))))
        h = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(h)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(h))).mean((2, 3))


def read_inception(file: Path) -> Inception:
    """The network with the weights of a file (`foundations.weights`), in evaluation mode.

    Raises:
        UserError: no such file, or weights of another network.
    """
    weights = read_weights(file)
    network = Inception()
    classes = len(weights.get("fc.weight", torch.empty(_CLASSES)))
    if classes != _CLASSES:
        raise UserError(
            f"{file} holds an Inception network of {classes:,} classes, and the one of FID has {_CLASSES:,}: give "
            "the weights of 5 December 2015 (pt_inception-2015-12-05-6726825d.pth)"
        )
    own = {name: value for name, value in weights.items() if not name.startswith(("fc.", "AuxLogits."))}
    try:
        # What counts batches in training is not in older files and does nothing here.
        found = network.load_state_dict(own, strict=False)
    except RuntimeError as error:
        raise UserError(f"{file} holds weights of another network: {str(error).splitlines()[-1].strip()}") from None
    missing = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        which = f"{missing[0]} is missing" if missing else f"{found.unexpected_keys[0]} is unknown"
        raise UserError(f"{file} does not hold the Inception network of FID: {which}")
    return network.eval().requires_grad_(False)
