"""Near-duplicates among items: what a model sees again and again is what it memorises first.

Two items are near-duplicates where one lies nearer to the other than a new item of the same law would lie to anything:
the distance over the mean distance to 50 neighbours is below the cut that held-out items set (see `copies`), or the
items are equal. Near-duplicates of near-duplicates belong together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..foundations.errors import UserError
from .search import neighbours

_NEAR = 10  # neighbours of each item that are looked at
# For a set without held-out items to say better. Carlini et al. have 0.5, which at hundreds of items in a dozen
# dimensions joins what fell together by chance.
RATIO = 1 / 3


@dataclass(frozen=True)
class Duplicates:
    """Groups of near-duplicates.

    Attributes:
        groups: indices of each group of two or more, the largest group first, ascending inside.
        repeats: how many items each item's group has, (N,); 1 where it has no other.
        ratio: the cut that was used.
    """

    groups: tuple[tuple[int, ...], ...]
    repeats: NDArray[np.int64]
    ratio: float

    @property
    def kept(self) -> NDArray[np.int64]:
        """The indices that a cleaned set keeps: the first item of each group, and all that are in none."""
        drop = [index for group in self.groups for index in group[1:]]
        return np.setdiff1d(np.arange(len(self.repeats)), np.array(drop, np.int64))


def find_duplicates(items: Tensor, *, ratio: float = RATIO, k: int = 50) -> Duplicates:
    """Groups the near-duplicates among items, (N, *), or features of them.

    Args:
        items: to look at.
        ratio: a distance is small where it is below this share of the mean distance to k neighbours; `Copies.threshold`
            is the cut of a stated error rate.
        k: neighbours that say how far is far.

    Raises:
        UserError: a ratio outside (0, 1), or fewer than three items.
    """
    if not 0 < ratio < 1:
        raise UserError(f"the ratio of near-duplicates lies between 0 and 1, got {ratio:g}")
    if len(items) < 3:
        raise UserError(f"near-duplicates are looked for among at least 3 items, got {len(items)}")
    # Equal items would fill the neighbourhoods of one another: far and near are told among those that differ.
    distinct, place = torch.unique(items.flatten(1), dim=0, return_inverse=True)
    edges = [(place.new_zeros(0), place.new_zeros(0))]
    if len(distinct) > 2:
        found = neighbours(distinct, distinct, min(k, len(distinct) - 1), apart=True)
        near = found.distances[:, :_NEAR] < ratio * found.distances.mean(1, keepdim=True)
        rows = torch.nonzero(near)
        edges.append((rows[:, 0], found.indices[:, :_NEAR][near]))
    left, right = (torch.cat(side).numpy() for side in zip(*edges, strict=True))
    graph = coo_matrix((np.ones(len(left)), (left, right)), shape=(len(distinct), len(distinct)))
    group = connected_components(graph, directed=False)[1][place.numpy()]
    sizes = np.bincount(group)
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(sizes)[:-1])
    groups = sorted((tuple(int(i) for i in part) for part in parts if len(part) > 1), key=lambda g: (-len(g), g))
    return Duplicates(tuple(groups), sizes[group], ratio)
