r"""How long a run is, and where in it we are: the one number that learning rate and pictures follow.

Progress u runs from 0 to 1 over the planned items. A plan is an anchor (items, progress) and a total, between which u
is linear; so a plan can be changed under way (the machine got slower, the user gave more time) without a jump in u:

    u(n) = u_a + (1 - u_a) (n - n_a) / (N - n_a)                                                                   (1)
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Plan:
    """Equation (1).

    Attributes:
        total: items in the whole run, N.
        anchor_items: n_a.
        anchor_progress: u_a, in [0, 1).
    """

    total: int
    anchor_items: int = 0
    anchor_progress: float = 0.0

    def progress(self, items: int) -> float:
        """u in [0, 1] after so many items."""
        left = self.total - self.anchor_items
        if left <= 0 or items >= self.total:
            return 1.0
        return self.anchor_progress + (1 - self.anchor_progress) * max(0, items - self.anchor_items) / left

    def with_total(self, total: int, items: int) -> Plan:
        """The plan that ends at another total, with u continuous at `items`."""
        return Plan(max(total, items + 1), items, self.progress(items))

    def extended(self, total: int, items: int) -> Plan:
        """The plan that goes on to a larger total, as if it had been planned so from the start: u falls back to
        items/total, and the learning rate rises to what it would be there."""
        return replace(self, total=total, anchor_items=items, anchor_progress=items / total)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `Plan(**values)` reads them back."""
        return asdict(self)


def learning_rate(progress: float, *, peak: float, warmup: float) -> float:
    """A linear rise over the fraction `warmup`, then half a cosine down to 0 (Loshchilov and Hutter, "SGDR", 2017)."""
    if progress < warmup:
        return peak * progress / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
