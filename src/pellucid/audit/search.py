"""The nearest items of a large set, exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..metrics.distances import nearest


@dataclass(frozen=True)
class Found:
    """The k nearest items of a set to each item of another.

    Attributes:
        distances: ascending, (N, k), Euclidean.
        indices: of the items in the set, (N, k).
    """

    distances: Tensor
    indices: Tensor


Search = Callable[[Tensor, Tensor, int], Found]


def neighbours(x: Tensor, y: Tensor, k: int, *, apart: bool = False) -> Found:
    """The k nearest items of y to each of x.

    Candidates are found in float32 by faiss where it is installed (by blocks of a matrix product where not), and their
    distances are then computed again as differences in float64: a copy is at distance 0 exactly, which the expanded
    square of float32 would not give.

    Args:
        x: (N, *).
        y: (M, *), of at least k items, k + 1 where `apart`.
        k: how many.
        apart: x is y, and an item is not its own neighbour.

    Raises:
        UserError: items of different shapes, too few of them, or numbers that are not finite.
    """
    if x.shape[1:] != y.shape[1:]:
        raise UserError(f"items of shape {tuple(x.shape[1:])} cannot be searched among {tuple(y.shape[1:])}")
    if len(y) < k + apart:
        raise UserError(f"{k} neighbours need at least {k + apart} items to search among, got {len(y)}")
    a, b = x.detach().flatten(1).float().cpu(), y.detach().flatten(1).float().cpu()
    if not (bool(a.isfinite().all()) and bool(b.isfinite().all())):
        raise UserError("items or features hold numbers that are not finite (NaN or infinite): leave such items out")
    # A few more than asked for: round-off may swap the last ones.
    more = min(len(b), k + apart + 4)
    indices = _candidates(a, b, more)
    distances = torch.cat([_exact(a[i : i + 256], b, indices[i : i + 256]) for i in range(0, len(a), 256)])
    if apart:
        distances[indices == torch.arange(len(a))[:, None]] = torch.inf
    order = distances.argsort(dim=1, stable=True)[:, :k]
    return Found(distances.gather(1, order), indices.gather(1, order))


def neighbours_within(x: Tensor, k: int, *, most: int = 8192, axes: int = 32) -> Found:
    """The k nearest others of each item of a set, (N, *): exactly up to `most` items; of more, among the 4 k nearest by
    their principal axes.

    A projection brings no two items further apart, so near ones are missed only where 4 k others crowd in between.

    Args:
        x: the items.
        k: how many.
        most: up to so many items are searched exactly.
        axes: how many principal axes, of `most` items.
    """
    rows = x.detach().flatten(1).float().cpu()
    if len(rows) <= most or rows.shape[1] <= 2 * axes:
        return neighbours(rows, rows, k, apart=True)
    some = rows[:: -(-len(rows) // most)]
    _, vectors = torch.linalg.eigh(some.double().T.cov())
    low = rows @ vectors[:, -axes:].float()
    indices = neighbours(low, low, min(4 * k, len(rows) - 1), apart=True).indices
    distances = torch.cat([_exact(rows[i : i + 256], rows, indices[i : i + 256]) for i in range(0, len(rows), 256)])
    order = distances.argsort(dim=1, stable=True)[:, :k]
    return Found(distances.gather(1, order), indices.gather(1, order))


def _candidates(a: Tensor, b: Tensor, k: int) -> Tensor:
    try:
        import faiss
    except ImportError:
        return nearest(a, b, k)[1]
    index = faiss.IndexFlatL2(b.shape[1])
    index.add(b.numpy())
    return torch.from_numpy(index.search(a.numpy(), k)[1])


def _exact(a: Tensor, b: Tensor, indices: Tensor) -> Tensor:
    return torch.stack([(a - b[column]).double().square().sum(1).sqrt() for column in indices.T], dim=1)
