r"""How well a score tells two groups apart: the area under its curve, and what it finds at few false alarms.

For scores x_i of the n members and y_j of the m others,

    AUC = mean over pairs of 1(x_i > y_j) + 1(x_i = y_j)/2,                                                          (1)

the chance that a member scores higher. With v_i = mean_j and w_j = mean_i of the same terms, its variance is
Var(v)/n + Var(w)/m (DeLong et al., "Comparing the Areas under Two or More Correlated Receiver Operating Characteristic
Curves", 1988, eq. 3-5). Whether it tells anything is asked of the ranks (Mann and Whitney, 1947): where members and
others are exchangeable, their law is known.

What is found at the false-alarm rate q is a share beyond a cut that is itself known from m others: the rate beyond the
(j+1)-th highest is a draw of Beta(j + 1, m - j). So the lower end of its interval is Wilson's at the lowest cut beyond
which there are, but for a chance of 1.25 %, no more false alarms than q, and the upper end Wilson's at the highest cut
beyond which there are no fewer; with Wilson's own 1.25 %, 95 % in all. With few others there is no such cut, and the
interval says so: it begins at zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import beta, mannwhitneyu
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.measured import Measured, wilson
from ..metrics.base import normal_interval

RATES = (0.01, 0.001)
_TAIL = 0.0125  # of each of the two errors at each end of what is found


@dataclass(frozen=True)
class Curve:
    """What a score finds.

    Attributes:
        auc: equation (1).
        found: the share of members found at each false-alarm rate, by rate.
        members, others: the scores, sorted descending, for a plot.
        chance: the probability of such an area, or a larger one, where the score tells nothing, by the law of ranks.
    """

    auc: Measured
    found: dict[float, Measured]
    members: Tensor
    others: Tensor
    chance: float

    @property
    def tells(self) -> bool:
        """Whether the score is better than chance, at 97.5 % confidence."""
        return self.chance <= 0.025

    def points(self) -> tuple[list[float], list[float]]:
        """The curve: the share of others, and that of members, above each cut, from the highest score down."""
        cuts = torch.cat([self.members, self.others]).unique().flip(0)
        rising = (self.members.flip(0), self.others.flip(0))
        hits, alarms = (1 - torch.searchsorted(side, cuts).double() / len(side) for side in rising)
        return [0.0, *alarms.tolist()], [0.0, *hits.tolist()]


def curve(name: str, members: Tensor, others: Tensor, *, rates: tuple[float, ...] = RATES) -> Curve:
    """The curve of a score that is higher for members: (n,) and (m,).

    Args:
        name: of the score.
        members, others: the scores of both groups.
        rates: false-alarm rates; at those below 1/m nothing can be measured: they are left out.

    Raises:
        UserError: fewer than two items in a group, or scores that are not finite.
    """
    x, y = members.detach().double().flatten(), others.detach().double().flatten()
    if min(len(x), len(y)) < 2:
        raise UserError(f"a score is judged on at least 2 items of each group, got {len(x)} and {len(y)}")
    if not (bool(x.isfinite().all()) and bool(y.isfinite().all())):
        raise UserError(f"the score {name!r} holds numbers that are not finite")
    low, high = y.sort().values, x.sort().values
    v = _below(low, x) / len(y)
    w = 1 - _below(high, y) / len(x)
    auc = float(v.mean())
    error = math.sqrt(float(v.var()) / len(x) + float(w.var()) / len(y))
    if error == 0:  # told apart without an exception: no less certain than one exception in the smaller group
        error = 0.5 / min(len(x), len(y))
    ends = normal_interval(auc, error)
    note = f"{len(y):,} others"
    area = Measured(f"auc[{name}]", auc, max(0.0, ends[0]), min(1.0, ends[1]), len(x), note=note, share=True)
    descending = low.flip(0)
    found = {rate: _found(name, high, descending, rate, note) for rate in rates if int(rate * len(y)) >= 1}
    chance = float(mannwhitneyu(x.numpy(), y.numpy(), alternative="greater").pvalue)
    return Curve(area, found, high.flip(0), descending, chance)


def others_for(rate: float) -> int:
    """How many others are needed before what is found at a false-alarm rate has a lower end above zero.

    >>> others_for(0.01), others_for(0.001)
    (437, 4380)
    """
    return math.ceil(math.log(_TAIL) / math.log1p(-rate))


def _found(name: str, members: Tensor, others: Tensor, rate: float, note: str) -> Measured:
    """The share of ascending member scores beyond the cut of a rate among descending other scores."""
    num, count = len(others), len(members)

    def beyond(allowed: int) -> int:
        """How many members score above all but so many others."""
        if allowed >= num:
            return count
        return count - int(torch.searchsorted(members, others[allowed], right=True))

    allowed = np.arange(num)
    surely_below = np.flatnonzero(beta.cdf(rate, allowed + 1, num - allowed) >= 1 - _TAIL)
    surely_above = np.flatnonzero(beta.sf(rate, allowed + 1, num - allowed) >= 1 - _TAIL)
    low = wilson(beyond(int(surely_below[-1])), count, 1 - 2 * _TAIL)[0] if len(surely_below) else 0.0
    high = wilson(beyond(int(surely_above[0]) if len(surely_above) else num), count, 1 - 2 * _TAIL)[1]
    share = beyond(int(rate * num)) / count
    return Measured(
        f"found_at_{rate:g}[{name}]", share, min(low, share), max(high, share), count, note=note, share=True
    )


def _below(ordered: Tensor, values: Tensor) -> Tensor:
    """How many of the ordered scores lie below each value, ties counting half."""
    return (torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True)).double() / 2
