"""Distances between all pairs of two samples, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 1 << 22  # numbers in one block: 32 MB of float64


def blocks(x: Tensor, width: int) -> Iterator[tuple[int, Tensor]]:
    """Parts of x with their first index, such that a part against `width` items stays below `BLOCK` numbers."""
    size = max(1, BLOCK // max(1, width))
    for start in range(0, len(x), size):
        yield start, x[start : start + size]


def squared(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances, (N, D) and (M, D) to (N, M); what lies within round-off of zero is zero.

    |x|^2 + |y|^2 - 2 x.y loses digits where the result is small beside its terms: equal items would not be at distance
    zero. Taking off a mean keeps the terms small where the data lie far from the origin.
    """
    centre = y.mean(0)
    x, y = x - centre, y - centre
    size_x, size_y = x.square().sum(1)[:, None], y.square().sum(1)
    d = torch.addmm(size_x + size_y, x, y.T, alpha=-2)
    return d.masked_fill_(d <= 1e-13 * (size_x + size_y), 0.0)


def nearest(x: Tensor, y: Tensor, k: int, *, apart: bool = False) -> tuple[Tensor, Tensor]:
    """The k nearest items of y to each of x: squared distances, ascending, and indices, both (N, k).

    Args:
        x: (N, D).
        y: (M, D), of at least k items, or k + 1 where `apart`.
        k: how many.
        apart: x is y, and an item is not its own neighbour.
    """
    distances, indices = [], []
    for start, part in blocks(x, len(y)):
        d = squared(part, y)
        if apart:
            d[range(len(part)), range(start, start + len(part))] = torch.inf
        found = d.topk(k, dim=1, largest=False)
        distances.append(found.values)
        indices.append(found.indices)
    return torch.cat(distances), torch.cat(indices)
