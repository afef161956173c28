"""Which method restores an observation when nobody says: chosen by the size of the items, the operator, the noise and
how many samples are wanted, with the reason in words.

Many samples of one observation are worth a population that weighs the clusters of the data against one another: with
exact denoisers `smc` lies within 1.3 times the noise floor where single paths end in the wrong cluster here and there.
A few samples get `mmps`, which is exact inside a cluster. For items so large that products with the network's Jacobian
would take most of the time there is `ddrm`, at one call of the network a step, and `ddnm+` where the operator's
singular system is unknown; on photographs the first is the better one of the two at all tasks
(benchmarks/results/restore.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..operators.base import Operator
from .base import Restorer
from .ddnm_plus import DDNMPlus
from .ddrm import DDRM
from .exact import has_spectrum
from .mmps import MMPS
from .smc import SMC

MANY = 64  # samples that can show the shares of several clusters
LARGE = 1 << 14  # values of an item above which one call of the network a step has to do
CROWDED = 4096  # values of an item above which a population of affordable size collapses on one particle
_VALUES = 1 << 18  # of a population together


@dataclass(frozen=True)
class Choice:
    """A method with its settings.

    Attributes:
        name: the method's name in `RESTORERS`.
        method: with its options.
        solver, grid, steps: what it runs on, as in `SOLVERS` and `GRIDS`.
        reason: why.
    """

    name: str
    method: Restorer
    solver: str
    grid: str
    steps: int
    reason: str


def choose(operator: Operator, noise: float, *, samples: int = 1, tiled: bool = False) -> Choice:
    """The method for an observation.

    Args:
        operator: A, bound to the item's shape.
        noise: the standard deviation of the observation's noise.
        samples: how many restorations of each observation are wanted.
        tiled: whether one call of the denoiser is many of the network, the item being larger than the model's.
    """
    size = operator.size
    if size > LARGE or tiled:
        met = "it meets the observation exactly" if noise == 0 else f"it counts the noise of {noise:g}"
        known = operator.system is not None
        return Choice(
            "ddrm" if known else "ddnm+",
            DDRM() if known else DDNMPlus(),
            "ancestral",
            "karras",
            50,
            f"items of {size:,} values{' in tiles' if tiled else ''} are large for anything but one network call a "
            f"step, and {met}",
        )
    if samples >= MANY and size <= CROWDED and has_spectrum(operator):
        particles = max(samples, min(1024, max(256, _VALUES // size)))
        return Choice(
            "smc",
            SMC(particles=particles),
            "ancestral",
            "asinh",
            100,
            f"{samples} samples of one observation can show all that is possible in its right share: a weighted "
            f"population of {particles:,} finds the shares",
        )
    few = "one sample" if samples == 1 else f"{samples} samples"
    return Choice(
        "mmps",
        MMPS(),
        "ancestral",
        "asinh",
        50,
        f"{few} of {size:,} values: the covariance that the denoiser knows makes each step exact within a cluster of "
        f"the data, {'without noise too' if noise == 0 else f'with noise of {noise:g}'}",
    )
