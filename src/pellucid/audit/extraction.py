r"""Extraction: what can be got out of a model by drawing much and keeping what repeats.

A model that invents spreads its samples; one that memorised comes back to the same item. With s(g) the distance of a
sample to the nearest held-out item, which is how far apart items are that know nothing of one another, two samples
belong to one clump where they are nearer than

    rho min(s(g), s(g')),                                                                                            (1)

rho that of `duplicates` (in the place of the cliques of Carlini et al., "Extracting Training Data from Diffusion
Models", 2023, whose threshold is chosen by hand). Where all samples are repeats, they have no scale of their own to
offer; held-out items have. The tightness of a clump is told by its middle: with d_m(g) the distance to the m-th nearest
other sample,

    density(g) = d_m(g) / s(g).                                                                                      (2)

The training set then only confirms: a candidate is extracted where most of its samples have one and the same training
item for their nearest, and are copies of it at the audit's false-alarm rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .copies import Copies, find_copies
from .duplicates import connected, grouped, usual_ratio
from .search import neighbours

SIZE = 5
_NEIGHBOURS = 20


@dataclass(frozen=True)
class Candidate:
    """A clump of samples.

    Attributes:
        samples: their indices, the middle first.
        density: of the middle, equation (2).
        train: the training item that is nearest to most of them.
        p: the median of those samples' p-values as copies, see `copies`; 1 where it is not the nearest of most.
        extracted: whether p is within the audit's rate.
    """

    samples: tuple[int, ...]
    density: float
    train: int
    p: float
    extracted: bool


def extract(
    generated: Tensor, train: Tensor, held: Tensor, *, copies: Copies | None = None, size: int = SIZE, seed: int = 0
) -> tuple[Candidate, ...]:
    """The clumps of generated items, (N, *), the tightest first, and whether the training set confirms them.

    Args:
        generated, train, held: items in one scale, or features of them.
        copies: `find_copies` of the same sets, if it is there already.
        size: the fewest samples of a clump.
        seed: of `find_copies`.

    Raises:
        UserError: as `find_copies`.
    """
    found = find_copies(generated, train, held, seed=seed) if copies is None else copies
    if len(generated) < size:
        return ()
    near = neighbours(generated, generated, min(_NEIGHBOURS, len(generated) - 1), apart=True)
    usual = found.distance_held
    limit = usual_ratio(held) * torch.minimum(usual[:, None], usual[near.indices])
    candidates = []
    for group in grouped(connected(near.indices, near.distances < limit), 0.0).groups:
        if len(group) < size:
            continue
        inside = generated[list(group)].flatten(1).double()
        middle = int(torch.cdist(inside, inside).sum(1).argmin())
        at = group[middle]
        rest = tuple(index for index in group if index != at)
        nearest = found.nearest[list(group)]
        item = int(nearest.mode().values)
        its = found.p[list(group)][nearest == item]
        p = float(its.median()) if 2 * len(its) > len(group) else 1.0
        density = float(near.distances[at, min(size - 1, near.distances.shape[1]) - 1] / usual[at].clamp_min(1e-300))
        candidates.append(Candidate((at, *rest), density, item, p, p <= found.level))
    return tuple(sorted(candidates, key=lambda candidate: candidate.density))
