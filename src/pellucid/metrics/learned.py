r"""How near a restored picture is to the true one to a network's eye.

With a(x) the maps of a network at one of its resolutions and u(p) = a(x)(p) / |a(x)(p)| its unit vector at a position,

    d(x, y) = mean over resolutions of the mean over positions p of |u(x)(p) - u(y)(p)|^2,                           (1)

which is equation 1 of Zhang et al. ("The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018)
with all channels weighed alike; they show that any well-trained network serves. LPIPS is the name of theirs, with
weights that were fitted to what people said, and of no other. (1) lies between 0 and 4; unlike PSNR it forgives texture
that is right in kind though not in place, and does not forgive blur.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..foundations.errors import MissingExtra, UserError
from .classifier import Classifier
from .efficientnet import efficientnet

Stages = Callable[[Tensor], list[Tensor]]


@torch.no_grad()
def learned_distance(x: Tensor, y: Tensor, stages: Stages, *, batch_size: int = 64) -> Tensor:
    """Equation (1) of each pair of pictures, (B, C, H, W) twice to (B,).

    Args:
        x, y: pictures in [-1, 1].
        stages: maps (B, K, h, w) of pictures, one for each resolution: `EfficientNet.stages`, or `classifier_stages`.
        batch_size: pictures at once.

    Raises:
        UserError: no pictures of one shape.
    """
    if x.shape != y.shape or x.ndim != 4:
        raise UserError(f"two batches of pictures of one shape are needed, got {tuple(x.shape)} and {tuple(y.shape)}")
    found = []
    for a, b in zip(x.split(batch_size), y.split(batch_size), strict=True):
        parts = [
            (F.normalize(p.double(), dim=1) - F.normalize(q.double(), dim=1)).square().sum(1).mean((1, 2))
            for p, q in zip(stages(a), stages(b), strict=True)
        ]
        found.append(torch.stack(parts).mean(0))
    return torch.cat(found)


def classifier_stages(classifier: Classifier) -> Stages:
    """The maps of a small classifier after each of its nonlinearities."""

    def stages(x: Tensor) -> list[Tensor]:
        found, h = [], x
        for layer in classifier.body:
            h = layer(h)
            if isinstance(layer, nn.ReLU):
                found.append(h)
        return found

    return stages


@cache
def standard_stages(side: int) -> Stages | None:
    """Those of the small ImageNet network for pictures of a side in pixels; None where its packages are missing."""
    try:
        return efficientnet(side).stages
    except MissingExtra:
        return None
