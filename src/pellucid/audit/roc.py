r"""How well a score tells two groups apart: the area under its curve, and what it finds at few false alarms.

For scores x_i of the n members and y_j of the m others,

    AUC = mean over pairs of 1(x_i > y_j) + 1(x_i = y_j)/2,                                                          (1)

the chance that a member scores higher. With v_i = mean_j and w_j = mean_i of the same terms, its variance is
Var(v)/n + Var(w)/m (DeLong et al., "Comparing the Areas under Two or More Correlated Receiver Operating Characteristic
Curves", 1988, eq. 3-5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.measured import Measured, proportion
from ..metrics.base import normal_interval

RATES = (0.01, 0.001)


@dataclass(frozen=True)
class Curve:
    """What a score finds.

    Attributes:
        auc: equation (1).
        found: the share of members found at each false-alarm rate, by rate.
        members, others: the scores, sorted descending, for a plot.
        chance: the probability of such an area where the score tells nothing, by the normal law of equation (1).
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


def curve(name: str, members: Tensor, others: Tensor, *, rates: tuple[float, ...] = RATES) -> Curve:
    """The curve of a score that is higher for members: (n,) and (m,).

    Args:
        name: of the score.
        members, others: the scores of both groups.
        rates: false-alarm rates; those below 1/m cannot be measured, and are left out.

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
    found = {}
    for rate in rates:
        allowed = int(rate * len(y))
        if allowed >= 1:
            hits = int((x > descending[allowed]).sum()) if allowed < len(y) else len(x)
            found[rate] = replace(proportion(f"found_at_{rate:g}[{name}]", hits, len(x)), note=note)
    return Curve(area, found, high.flip(0), descending, 1 - NormalDist().cdf((auc - 0.5) / error))


def _below(ordered: Tensor, values: Tensor) -> Tensor:
    """How many of the ordered scores lie below each value, ties counting half."""
    return (torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True)).double() / 2
