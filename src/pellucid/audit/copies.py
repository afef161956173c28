r"""Copies: which generated items are nearer to a training item than new items of the same law would be.

The statistic of an item g is that of Carlini et al., "Extracting Training Data from Diffusion Models", 2023: its
distance to the nearest training item, over the mean distance to the 50 nearest,

    r(g) = d_1(g) / mean(d_1(g), ..., d_50(g)).                                                                      (1)

Theirs is compared with a number chosen by hand. Here it is compared with what real items get that the model has never
seen: M held-out ones, whose r has the law that r(g) has where the model made new items of the data's law. So

    p(g) = (1 + #{h held out: r(h) <= r(g)}) / (M + 1)                                                               (2)

is a valid p-value whatever that law is (Vovk et al., "Algorithmic Learning in a Random World", 2005, on conformal
p-values), and the items with p <= a are flagged at a false-alarm rate of at most a.

A second look needs no such law. With a random part of the training set as large as the held-out one, a model that does
not know its training items makes items that are nearer to it as often as to the held-out ones, also a model whose items
are blurred or few: by symmetry the share that is nearer to the training part is then 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.measured import Measured, proportion
from ..metrics.base import order
from .power import ALARM, chance_of, seen_rate
from .search import Search, neighbours

NEIGHBOURS = 50
LEVEL = 0.01


@dataclass(frozen=True)
class Copies:
    """What the search for copies found.

    Attributes:
        ratios: r of equation (1) of the generated items, (N,).
        p: of equation (2), (N,).
        nearest, nearest_held: the nearest training and the nearest held-out item of each, (N,).
        distance, distance_held: how far they are, (N,).
        level: a, the highest expected share of false alarms.
        held: M.
        cut: how many held-out items are at or below the threshold.
        threshold: of r, at that level.
        flagged: the indices with p <= level, the clearest first.
        rate: the share flagged.
        nearer: the share that is nearer to a training part of the held-out set's size; 1/2 without memory.
    """

    ratios: Tensor
    p: Tensor
    nearest: Tensor
    nearest_held: Tensor
    distance: Tensor
    distance_held: Tensor
    level: float
    held: int
    cut: int
    threshold: float
    flagged: Tensor
    rate: Measured
    nearer: Measured

    @property
    def chance(self) -> float:
        """The probability that false alarms alone are as many, see `power`."""
        return chance_of(len(self.flagged), len(self.p), self.cut, self.held)

    @property
    def found(self) -> bool:
        """Whether more are flagged than false alarms explain."""
        return self.chance <= ALARM

    @property
    def seen(self) -> float:
        """The share of copies that would have been found with a probability of 98 %."""
        return seen_rate(len(self.p), self.cut, self.held)


def find_copies(
    generated: Tensor,
    train: Tensor,
    held: Tensor,
    *,
    level: float = LEVEL,
    seed: int = 0,
    k: int = NEIGHBOURS,
    search: Search = neighbours,
) -> Copies:
    """Searches generated items, (N, *), for copies of training items, (T, *), against held-out ones, (M, *).

    Args:
        generated, train, held: items in one scale, or features of them.
        level: the false-alarm rate that is allowed; at least 1/(M + 1).
        seed: of the training part in the second look.
        k: neighbours in equation (1).
        search: what is near: `neighbours`, or `tolerant.shifted` for pictures.

    Raises:
        UserError: too few held-out items for the level, or fewer training items than k.
    """
    if not 1 / (len(held) + 1) <= level < 1:
        raise UserError(
            f"a false-alarm rate of {level:g} needs at least {round(1 / level) - 1:,} held-out items, "
            f"got {len(held):,}: hold out more, or allow a higher rate"
        )
    k = min(k, len(train) - 1)
    if k < 2:
        raise UserError(f"copies are searched among at least 3 training items, got {len(train)}")
    found, null = search(generated, train, k), search(held, train, k)
    beside = search(generated, held, 1)
    ratios, held_ratios = _ratios(found.distances), _ratios(null.distances).sort().values
    below = torch.searchsorted(held_ratios, ratios, right=True)
    p = (1 + below) / (len(held) + 1)
    flagged = torch.nonzero(p <= level)[:, 0]
    flagged = flagged[ratios[flagged].argsort(stable=True)]
    part = train[order(len(train), seed, "copies")[: len(held)].cpu()]
    side = search(generated, part, 1).distances[:, 0] < beside.distances[:, 0]
    cut = int(level * (len(held) + 1))
    return Copies(
        ratios=ratios,
        p=p,
        nearest=found.indices[:, 0],
        nearest_held=beside.indices[:, 0],
        distance=found.distances[:, 0],
        distance_held=beside.distances[:, 0],
        level=level,
        held=len(held),
        cut=cut,
        threshold=float(held_ratios[cut - 1]),
        flagged=flagged,
        rate=proportion("copy_rate", len(flagged), len(generated)),
        nearer=proportion("nearer_to_training", int(side.sum()), len(generated)),
    )


def _ratios(distances: Tensor) -> Tensor:
    """Equation (1); 0 where an item repeats, however often."""
    mean = distances.mean(1)
    return torch.where(mean > 0, distances[:, 0] / mean.clamp_min(1e-300), 0.0)
