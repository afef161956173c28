r"""Near-duplicates among items: what a model sees again and again is what it memorises first.

Items that fell where they are by chance, d-dimensionally, have nearest neighbours at less than a share rho of the usual
distance with a probability of about rho^d log 2: rarely in many dimensions, often in two. So two items are near-
duplicates where they are nearer than

    rho s,    rho = 0.001^(1/d), at most 1/2,                                                                        (1)

with s the median, over the neighbourhood, of items' distances to their nearest: by chance about one item in a thousand
is taken for a repeat. d is found from the median of mu = d_2/d_1, whose law is P(mu > m) = m^-d (Facco et al.,
"Estimating the Intrinsic Dimension of Datasets by a Minimal Neighborhood Information", 2017). A neighbourhood that
consists of repeats itself, s below rho^2 times the whole set's, has no scale to offer; there the set's stands in.
(Below rho times it may be a dense part of the data, such as the ones among digits.) Near-duplicates of near-duplicates
belong together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..foundations.errors import UserError
from .search import neighbours_within

_NEIGHBOURS = 20
_CHANCE = 1e-3


@dataclass(frozen=True)
class Duplicates:
    """Groups of near-duplicates.

    Attributes:
        groups: indices of each group of two or more, the largest group first, ascending inside.
        repeats: how many items each item's group has, (N,); 1 where it has no other.
        ratio: rho of equation (1); 0 where no two items differ.
    """

    groups: tuple[tuple[int, ...], ...]
    repeats: NDArray[np.int64]
    ratio: float

    @property
    def kept(self) -> NDArray[np.int64]:
        """The indices that a cleaned set keeps: the first item of each group, and all that are in none."""
        drop = [index for group in self.groups for index in group[1:]]
        return np.setdiff1d(np.arange(len(self.repeats)), np.array(drop, np.int64))


def find_duplicates(items: Tensor, *, ratio: float | None = None) -> Duplicates:
    """Groups the near-duplicates among items, (N, *), or features of them.

    Args:
        items: to look at.
        ratio: rho of equation (1), if it should not be derived.

    Raises:
        UserError: a ratio outside (0, 1), or fewer than three items.
    """
    if ratio is not None and not 0 < ratio < 1:
        raise UserError(f"the ratio of near-duplicates lies between 0 and 1, got {ratio:g}")
    if len(items) < 3:
        raise UserError(f"near-duplicates are looked for among at least 3 items, got {len(items)}")
    # Equal items would fill the neighbourhoods of one another: far and near are told among those that differ.
    distinct, place = torch.unique(items.flatten(1), dim=0, return_inverse=True)
    if len(distinct) < 3:
        return grouped(place.numpy(), ratio or 0.0)
    found = neighbours_within(distinct, min(_NEIGHBOURS, len(distinct) - 1))
    ratio = _ratio(found.distances) if ratio is None else ratio
    first = found.distances[:, 0]
    local, usual = first[found.indices].median(1).values, first.median()
    scale = torch.where(local < ratio**2 * usual, usual, local)
    group = connected(found.indices, found.distances < ratio * scale[:, None])
    return grouped(group[place.numpy()], ratio)


def usual_ratio(items: Tensor) -> float:
    """rho of equation (1) of items, (N, *), at least three: what `find_duplicates` uses."""
    return _ratio(neighbours_within(items, min(_NEIGHBOURS, len(items) - 1)).distances)


def connected(indices: Tensor, near: Tensor) -> NDArray[np.int64]:
    """A number for each item, (N,), one for all that are connected by neighbours, (N, k), where `near` says so."""
    left, right = torch.nonzero(near)[:, 0].numpy(), indices[near].numpy()
    graph = coo_matrix((np.ones(len(left)), (left, right)), shape=(len(near), len(near)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def grouped(group: NDArray[np.int64], ratio: float) -> Duplicates:
    """The groups of items that have one number in common, (N,)."""
    sizes = np.bincount(group)
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(sizes)[:-1])
    groups = sorted((tuple(int(i) for i in part) for part in parts if len(part) > 1), key=lambda g: (-len(g), g))
    return Duplicates(tuple(groups), sizes[group], ratio)


def _ratio(distances: Tensor) -> float:
    """rho of equation (1), from ascending distances to neighbours, (N, k), k at least 2."""
    growth = float((distances[:, 1] / distances[:, 0].clamp_min(1e-300)).median())
    dimension = math.log(2) / math.log(max(growth, 1 + 1e-6))
    return min(0.5, _CHANCE ** (1 / dimension))
