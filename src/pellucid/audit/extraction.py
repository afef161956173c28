r"""Extraction: what can be got out of a model without its training set, by drawing much and keeping what repeats.

A model that invents spreads its samples; one that memorised comes back to the same item. So samples that are nearer to
many others than samples are at large stand out: with d_m(g) the distance to the m-th nearest other sample,

    density(g) = d_m(g) / median over g of d_m(g),                                                                   (1)

and near-duplicates among the samples are one candidate (in the place of the cliques of Carlini et al., "Extracting
Training Data from Diffusion Models", 2023). The training set then only confirms: a candidate is extracted where most of
its samples have one and the same training item for their nearest, and are copies of it at the audit's false-alarm rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .copies import Copies, find_copies
from .duplicates import find_duplicates
from .search import neighbours

SIZE = 5


@dataclass(frozen=True)
class Candidate:
    """A clump of samples.

    Attributes:
        samples: their indices, the middle first.
        density: of the middle, equation (1).
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
        UserError: as `find_copies` and `find_duplicates`.
    """
    found = find_copies(generated, train, held, seed=seed) if copies is None else copies
    near = neighbours(generated, generated, min(size - 1, len(generated) - 1), apart=True).distances[:, -1]
    density = near / near.median().clamp_min(1e-300)
    candidates = []
    for group in find_duplicates(generated).groups:
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
        candidates.append(Candidate((at, *rest), float(density[at]), item, p, p <= found.level))
    return tuple(sorted(candidates, key=lambda candidate: candidate.density))
