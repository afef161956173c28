"""A small classifier trained on real items, to judge whether made items show what was asked for.

It reads one label in each picture; its agreement with the asked label, beside its own accuracy on held-out real
items, says how often a conditional sample is what it should be. It cannot say that samples are varied.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.foundations.errors import UserError


class Classifier(nn.Module):
    """A convolutional network for images of any size: (B, C, H, W) in [-1, 1] -> logits (B, num_classes).

    Convolutions with batch normalisation at a half, a half and a quarter of the side, the mean and the largest
    value over positions, one linear layer.
    """

    def __init__(self, channels: int, num_classes: int, width: int = 32) -> None:
        super().__init__()

        def layer(channels: int, out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            convolve = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)
            return [convolve, nn.BatchNorm2d(out), nn.ReLU()]

        self.body = nn.Sequential(
            *layer(channels, width, 5, stride=2),
            *layer(width, 2 * width, 3),
            nn.MaxPool2d(2, ceil_mode=True),
            *layer(2 * width, 4 * width, 3),
        )
        self.head = nn.Linear(8 * width, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: (B, C, H, W) -> (B, 8 width)."""
        h = self.body(x.contiguous(memory_format=torch.channels_last))
        return torch.cat([h.mean(dim=(2, 3)), h.amax(dim=(2, 3))], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (B, num_classes)."""
        return self.head(self.features(x))


def distort(
    x: Tensor, generator: torch.Generator, *, turn: float = 0.2, zoom: float = 0.12, shift: float = 0.1
) -> Tensor:
    """Random rotations, zooms, shears and shifts: (B, C, H, W) -> (B, C, H, W), edges repeated outwards.

    Args:
        x: images.
        generator: the source of the random numbers, on the CPU.
        turn: largest angle of rotation and of shear, in radians.
        zoom: largest relative change of scale, for each axis.
        shift: largest shift as a share of the side.
    """
    r = torch.rand(6, len(x), generator=generator) * 2 - 1
    angle, shear = turn * r[0], turn * r[1]
    across, down = 1 + zoom * r[2], 1 + zoom * r[3]
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([across * cos, -sin + shear, 2 * shift * r[4]], dim=1),
        torch.stack([sin, down * cos, 2 * shift * r[5]], dim=1),
    ]
    theta = torch.stack(rows, dim=1).to(x.device)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def train_classifier(
    x: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    seed: int = 0,
    epochs: int = 12,
    seconds: float = math.inf,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
) -> Classifier:
    """Trains a `Classifier` on real images with random distortions, and returns it in evaluation mode.

    AdamW with one warm-up and cosine decay over the run. The decay follows the epochs, or the seconds where they run
    out sooner; without a limit in seconds the result is a function of the arguments alone.

    Args:
        x: (N, C, H, W) in [-1, 1].
        labels: (N,) integers below num_classes.
        num_classes: number of classes.
        seed: of the initial weights, the order and the distortions; torch's global generator is left as it was.
        epochs: passes over the items.
        seconds: time after which training ends even if epochs are left.
        batch_size: items a step.
        learning_rate: its peak.

    Raises:
        ValueError: where x is not a batch of images or the labels do not fit it.
    """
    if x.ndim != 4 or labels.shape != x.shape[:1]:
        raise UserError(
            f"images of shape {tuple(x.shape)} with labels of shape {tuple(labels.shape)}: "
            "give (N, C, H, W) images and (N,) labels"
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(x.shape[1], num_classes).to(x.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.05, fused=True)
    per_epoch = max(1, len(x) // batch_size)  # the short rest of an epoch is left out, another one each time
    start, total = time.monotonic(), epochs * per_epoch
    network.train()
    for step in range(total):
        if step % per_epoch == 0:
            order = torch.randperm(len(x), generator=generator)
        done = max(step / total, (time.monotonic() - start) / seconds)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1, done / 0.15 + 0.01) * 0.5 * (1 + math.cos(math.pi * done))
        at = step % per_epoch * batch_size
        chosen = order[at : at + batch_size].to(x.device)
        loss = F.cross_entropy(
            network(distort(x[chosen], generator)), labels[chosen].to(x.device), label_smoothing=0.05
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def read_classifier(file: Path) -> Classifier:
    """The `Classifier` whose weights a safetensors file holds, in evaluation mode; their shapes tell its size.

    Raises:
        UserError: no such file, or weights of something else.
    """
    try:
        weights = safetensors.torch.load(file.read_bytes())
        width, channels = weights["body.0.weight"].shape[:2]
        network = Classifier(channels, len(weights["head.bias"]), width)
        network.load_state_dict(weights)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError):
        raise UserError(f"{file} does not hold the weights of a classifier that pellucid trained") from None
    return network.eval()


@torch.no_grad()
def predict(classifier: nn.Module, x: Tensor, batch_size: int = 256) -> Tensor:
    """The most probable label of each item: (N, C, H, W) -> (N,) int64."""
    return torch.cat([classifier(part).argmax(dim=1) for part in x.split(batch_size)])
