r"""Copies: which generated items are nearer to a training item than new items of the same law would be.

The statistic of an item g is that of Carlini et al., "Extracting Training Data from Diffusion Models", 2023: its
distance to the nearest training item, over the mean distance to the 50 nearest,

    r(g) = d_1(g) / mean(d_1(g), ..., d_50(g)).                                                                      (1)

Theirs is compared with a number chosen by hand. Here it is compared with what real items get that the model has never
seen: M held-out ones, whose r has the law that r(g) has where the model made new items of the data's law. So

    p(g) = (1 + #{h held out: r(h) <= r(g)}) / (M + 1)                                                               (2)

is a valid p-value whatever that law is (Vovk et al., "Algorithmic Learning in a Random World", 2005, on conformal
p-values), and the items with p <= a are flagged at a false-alarm rate of at most a. Training items that repeat one
another have to be there once, as `whole` sees to it: of one that is there fifty times, all distances in (1) are equal.

Two further looks need no such law: with a random part of the training set as large as the held-out one, both sides are
exchangeable for a model that does not know its training items, also where its items are blurred or few.

* The share of items that are nearer to the training part is 1/2 by symmetry. Items that have one neighbour in common
  are no independent looks: with w_j items at the neighbour j, they count as (sum w_j)^2 / sum w_j^2.
* The *control* flags copies of held-out items, which there cannot be, against the training part. If it flags more than
  a items in a hundred, the model's items crowd together for reasons of their own, and what is flagged above says no
  more than what goes beyond the control.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.measured import Measured, proportion, wilson
from ..metrics.base import order
from .power import ALARM, chance_of, seen_rate
from .search import Found, Search, neighbours

NEIGHBOURS = 50
LEVEL = 0.01


@dataclass(frozen=True)
class Copies:
    """What the search for copies found.

    Attributes:
        ratios, held_ratios: r of equation (1) of the generated items, (N,), and of the held-out ones, (M,).
        p: of equation (2), (N,).
        nearest, nearest_held: the nearest training and the nearest held-out item of each, (N,).
        distance, distance_held: how far they are, (N,).
        level: a, the highest expected share of false alarms.
        held: M.
        cut: how many held-out items are at or below the threshold.
        threshold: of r, at that level.
        strict: how many of the flagged are beyond a tenth of the cut.
        strict_threshold: of r, there.
        flagged: the indices with p <= level, the clearest first.
        rate: the share flagged.
        nearer: the share that is nearer to a training part of the held-out set's size; 1/2 without memory.
        control: the share flagged as copies of held-out items; None where the training items are too few to judge it.
        crowded: whether the control flags more than false alarms explain.
    """

    ratios: Tensor
    held_ratios: Tensor
    p: Tensor
    nearest: Tensor
    nearest_held: Tensor
    distance: Tensor
    distance_held: Tensor
    level: float
    held: int
    cut: int
    threshold: float
    strict: int
    strict_threshold: float
    flagged: Tensor
    rate: Measured
    nearer: Measured
    control: Measured | None
    crowded: bool

    def among(self, kept: Tensor) -> Copies:
        """The same by the indices of a larger set, of which the training items are those at `kept`, (T,)."""
        return replace(self, nearest=kept[self.nearest])

    @property
    def chance(self) -> float:
        """The probability that false alarms alone are as many, see `power`; 1 where the control has as many."""
        if self.crowded and self.control is not None and (self.rate.low or 0) <= (self.control.high or 1):
            return 1.0
        looks = [chance_of(len(self.flagged), len(self.p), self.cut, self.held)]
        if self._strict_cut < self.cut:
            looks.append(chance_of(self.strict, len(self.p), self._strict_cut, self.held))
        return min(1.0, len(looks) * min(looks))

    @property
    def _strict_cut(self) -> int:
        return max(1, self.cut // 10)

    @property
    def found(self) -> bool:
        """Whether more are flagged than false alarms explain."""
        return self.chance <= ALARM

    @property
    def seen(self) -> float:
        """The share of copies, nearer than `reach`, that would have been found with a probability of 98 %."""
        cuts = {self._strict_cut, self.cut} if self._reaches else {self.cut}
        looks = 1 if self._strict_cut == self.cut else 2
        return min(seen_rate(len(self.p), cut, self.held, alarm=ALARM / looks) for cut in cuts)

    @property
    def reach(self) -> float:
        """The ratio below which an item is one of the copies that `seen` speaks of."""
        return self.strict_threshold if self._reaches else self.threshold

    @property
    def _reaches(self) -> bool:
        """Whether the strict cut is no rarity: a single held-out item that repeats a training item would bring it to
        zero."""
        return 4 * self.strict_threshold >= self.threshold


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
    part = train[order(len(train), seed, "copies")[: len(held)].cpu()]
    around = min(k, len(held) - 1)
    # Both with as many neighbours: a search by candidates looks at more of them for more neighbours.
    beside, within = (search(generated, side, max(1, min(around, len(part)))) for side in (held, part))
    ratios, held_ratios = _ratios(found.distances), _ratios(null.distances)
    p, cut, threshold = _judged(ratios, held_ratios, level)
    strict = float(held_ratios.sort().values[max(1, cut // 10) - 1])
    flagged = torch.nonzero(p <= level)[:, 0]
    flagged = flagged[ratios[flagged].argsort(stable=True)]
    control, crowded = None, False
    if len(part) + 1 >= 1 / level and around >= 2:
        other, its_cut, _ = _judged(_ratios(beside.distances), _ratios(search(part, held, around).distances), level)
        count = int((other <= level).sum())
        control = proportion("control", count, len(generated))
        crowded = chance_of(count, len(generated), its_cut, len(part)) <= ALARM
    return Copies(
        ratios=ratios,
        held_ratios=held_ratios,
        p=p,
        nearest=found.indices[:, 0],
        nearest_held=beside.indices[:, 0],
        distance=found.distances[:, 0],
        distance_held=beside.distances[:, 0],
        level=level,
        held=len(held),
        cut=cut,
        threshold=threshold,
        strict=int((ratios < strict).sum()),
        strict_threshold=strict,
        flagged=flagged,
        rate=proportion("copy_rate", len(flagged), len(generated)),
        nearer=_nearer(within, beside),
        control=control,
        crowded=crowded,
    )


def _judged(ratios: Tensor, null: Tensor, level: float) -> tuple[Tensor, int, float]:
    """Equation (2) of each item, how many of the null's ratios lie at or below the threshold, and the threshold."""
    ordered = null.sort().values
    # p <= level and the place of the cut must agree also where level (M + 1) is whole but for round-off.
    cut = int(level * (len(ordered) + 1) + 1e-9)
    p = (1 + torch.searchsorted(ordered, ratios, right=True)) / (len(ordered) + 1)
    return torch.where(ratios < ordered[cut - 1], p.clamp_max(level), p), cut, float(ordered[cut - 1])


def _nearer(part: Found, held: Found) -> Measured:
    """The share of items that are nearer to the training part, as good as that of so many independent ones."""
    ours, others = part.distances[:, 0], held.distances[:, 0]
    ahead = (ours < others) + 0.5 * (ours == others)  # distances that are counts are often equal
    places = torch.where(ours <= others, part.indices[:, 0], -1 - held.indices[:, 0])
    weights = places.unique(return_counts=True)[1].double()
    count = max(1, round(float(weights.sum() ** 2 / weights.square().sum())))
    share = float(ahead.double().mean())
    low, high = wilson(round(share * count), count)
    note = f"as good as {count:,} independent ones"
    return Measured("nearer_to_training", share, low, high, len(ahead), note=note, share=True)


def _ratios(distances: Tensor) -> Tensor:
    """Equation (1); 0 where an item repeats, however often."""
    mean = distances.mean(1)
    return torch.where(mean > 0, distances[:, 0] / mean.clamp_min(1e-300), 0.0)
