"""The numbers of signals' own kind, beside what halves of the real ones get."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.measured import Measured
from ..foundations.registry import Registry
from ..metrics.base import Scored, halvings
from ..series.score import autocorrelation_gap, discriminative

KINDS = ("signal", "series")  # of codecs
_FEWEST = 8  # in each half

SIGNAL_NUMBERS: Registry[Callable[[Tensor, Tensor, int], Measured]] = Registry(
    "metric",
    {
        "autocorrelation_gap": lambda made, real, seed: autocorrelation_gap(made, real),
        "discriminative_score": lambda made, real, seed: discriminative(made, real, seed=seed),
    },
)


def signal_numbers(
    made: Tensor, real: Tensor, chosen: Sequence[str] | None, seed: int
) -> tuple[tuple[Scored, ...], dict[str, str]]:
    """Those of two samples of signals, all if None, and why some are missing.

    Args:
        made, real: (N, C, L) and (M, C, L), in the codec's scale.
        chosen: names.
        seed: of what they choose at random, and of the halves.
    """
    found: list[Scored] = []
    refused: dict[str, str] = {}
    for name, function in SIGNAL_NUMBERS.items():
        if chosen is not None and name not in chosen:
            continue
        try:
            if len(real) < 2 * _FEWEST:
                raise UserError(f"{len(real)} real signals are too few for it: at least {2 * _FEWEST} are needed")
            number = function(made, real, seed)
            floors = [function(a, b, seed).value for a, b in halvings(real, seed, repeats=2)]
        except UserError as error:
            refused[name] = str(error)
            continue
        floor = math.fsum(floors) / len(floors)
        how = "normal, over items"
        bounds = (number.value, number.low, number.high)
        found.append(Scored(name, *bounds, len(made), len(real), 0.0, "lower", floor, how))
    return tuple(found), refused
