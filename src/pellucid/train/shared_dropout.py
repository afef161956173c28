"""Dropout whose masks do not depend on how many processes share a batch.

A process alone draws one mask for all items of a micro-batch from torch's generator. Of several, each draws the mask of
the whole micro-batch from the same seed, and keeps the part of its own items: the same numbers for the same items, bit
for bit on CPUs, at the cost of drawing what belongs to the others. (On CUDA devices a process alone draws by a fused
kernel, whose numbers are others; there, runs of two or more processes agree among themselves.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Part:
    """Which items of a micro-batch are here: from number `first` on, of `count`."""

    first: int = 0
    count: int = 0


def share_dropout(module: nn.Module) -> Part:
    """Makes all dropout in a module draw for whole micro-batches; set what it returns before each forward pass."""
    part = Part()
    for each in module.modules():
        if isinstance(each, nn.Dropout) and each.p:
            _replace(each, part)
    return part


def _replace(layer: nn.Dropout, part: Part) -> None:
    def forward(input: Tensor) -> Tensor:
        return dropped(input, layer.p, part) if layer.training else input

    layer.forward = forward  # type: ignore[method-assign]


def dropped(x: Tensor, p: float, part: Part) -> Tensor:
    """The part (B, *) of a micro-batch with a share p of its values put to zero, and the others times 1/(1 - p)."""
    # In the memory order of x, for that is the order in which numbers are drawn.
    like = torch.empty_like(x)
    whole = x.new_empty_strided((part.count, *x.shape[1:]), (x[0].numel(), *like.stride()[1:]))
    keep = whole.bernoulli_(1 - p).div_(1 - p)
    return x * keep[part.first : part.first + len(x)]
