r"""Training batches as a pure function of (seed, position): which item, at which time, with which noise and label.

Position p counts items since the start of training. The same (seed, p) gives the same everything, whatever the batch
size, the resume or the number of processes, so a run is resumed by one integer.

Times come from the golden-ratio sequence u_p = frac(p (sqrt(5) - 1)/2 + shift): any stretch of it is spread evenly over
[0, 1), as a stratified batch is, without a batch to stratify. (Kingma et al., "Variational Diffusion Models", 2021,
appendix I.1, spread their times over a batch for the same end: less variance.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Dataset
from ..data.order import item_at
from ..foundations.rng import Stream, subseed
from ..losses import TimeDensity
from ..processes.gaussian import Gaussian
from ..processes.weightings import Likelihood

Warp = Callable[[Tensor], tuple[Tensor, Tensor]]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 times the golden ratio's fraction


def golden(positions: np.ndarray, seed: int) -> np.ndarray:
    """u_p in [0, 1), float32 on a grid of 2^-24, for int64 positions of any shape; exact in integers."""
    shift = np.uint64(subseed(seed, "times"))
    with np.errstate(over="ignore"):
        words = positions.astype(np.uint64) * _GOLDEN + shift
    return (words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


@dataclass(frozen=True)
class Batch:
    """What one micro-batch of training needs.

    Attributes:
        x0, t, noise, label: the items, their times, noise and classes.
        factor: what each loss is multiplied by, where times are drawn more often than the loss means; else None.
        u: the uniform numbers behind the times, after any change of their law.
    """

    x0: Tensor
    t: Tensor
    noise: Tensor
    label: Tensor | None
    factor: Tensor | None = None
    u: Tensor | None = None


def items_at(
    data: Dataset,
    seed: int,
    positions: np.ndarray,
    *,
    label_dropout: float,
    null_label: int,
    flip: bool,
    device: torch.device | str,
) -> tuple[Tensor, Tensor | None, Stream]:
    """The items at positions (B,) of the run, some mirrored, their labels, some hidden, and their random numbers, of
    which step 1 is used up."""
    x0, label = data.fetch(item_at(subseed(seed, "order"), positions, len(data)))
    stream = Stream(subseed(seed, "training"), torch.from_numpy(positions).to(device))
    coins = stream.uniform((2,), step=1)[0, 0]
    x0 = x0.to(device, non_blocking=True)
    if flip:
        mirrored = coins[:, 0].reshape(-1, *(1,) * (x0.ndim - 1)) < 0.5
        x0 = torch.where(mirrored, x0.flip(-1), x0)
    if label is not None:
        label = torch.where(coins[:, 1] < label_dropout, null_label, label.to(device))
    return x0, label, stream


@dataclass(frozen=True)
class Batches:
    """Makes batches.

    Attributes:
        data: the training items.
        process: for the kind of noise and the schedule that times refer to.
        density: the law of times.
        seed: the run's.
        label_dropout: the share of items whose label is hidden.
        null_label: what a hidden label reads.
        flip: mirror the last axis of half of the items.
        device: where the tensors go.
    """

    data: Dataset
    process: Gaussian
    density: TimeDensity
    seed: int
    label_dropout: float = 0.0
    null_label: int = 0
    flip: bool = False
    device: torch.device | str = "cpu"

    @property
    def adaptive(self) -> bool:
        """Whether the law of times follows the losses."""
        return self.density.adaptive

    def at(self, start: int, count: int, warp: Warp | None = None) -> Batch:
        """The batch of positions start ... start + count - 1.

        Args:
            start, count: which positions.
            warp: the state of an adaptive density: uniform numbers to those of another law, and the losses' factors.
        """
        positions = np.arange(start, start + count, dtype=np.int64)
        x0, label, stream = items_at(
            self.data,
            self.seed,
            positions,
            label_dropout=self.label_dropout,
            null_label=self.null_label,
            flip=self.flip,
            device=self.device,
        )
        noise = self.process.draw(stream, self.data.shape, step=0)[0, 0]
        u = torch.from_numpy(golden(positions, self.seed)).to(self.device)
        factor = None
        if warp is not None:
            u, factor = warp(u)
        t = self.density.times(self.process.schedule, u)
        if isinstance(self.process.weighting, Likelihood):
            over = 1 / self.density.density(self.process.schedule, t)
            factor = over if factor is None else factor * over
        return Batch(x0, t, noise, label, factor, u)
