r"""Training batches as a pure function of (seed, position): which item, at which time, with which noise and conditions.

Position p counts items since the start of training. The same (seed, p) gives the same everything, whatever the batch
size, the resume or the number of processes, so a run is resumed by one integer.

Times come from the golden-ratio sequence u_p = frac(p (sqrt(5) - 1)/2 + shift): any stretch of it is spread evenly over
[0, 1), as a stratified batch is, without a batch to stratify. (Kingma et al., "Variational Diffusion Models", 2021,
appendix I.1, spread their times over a batch for the same end: less variance.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Dataset
from ..data.codecs import SeriesCodec
from ..data.order import item_at
from ..data.ragged import presence
from ..foundations.rng import Stream, subseed
from ..losses import TimeDensity
from ..nn.spec import PRESENCE
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
        x0, t, noise: the items, their times and noise.
        cond: what they are, part by part (B, *), as a denoiser is asked: label, and the columns of the data.
        factor: what each loss is multiplied by, where times are drawn more often than the loss means; else None.
        u: the uniform numbers behind the times, after any change of their law.
    """

    x0: Tensor
    t: Tensor
    noise: Tensor
    cond: dict[str, Tensor] = field(default_factory=dict)
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
) -> tuple[Tensor, dict[str, Tensor], Stream]:
    """The items at positions (B,) of the run, some mirrored, what they are, some of it hidden, and their random
    numbers, of which steps 1 and 2 are used up.

    Each condition is hidden with the probability `label_dropout`, and so are all of them together.
    """
    rows = item_at(subseed(seed, "order"), positions, len(data))
    x0, _ = data.fetch(rows)
    cond = {name: value.to(device, non_blocking=True) for name, value in data.conditions(rows).items()}
    if isinstance(data.codec, SeriesCodec):
        cond[PRESENCE] = presence(x0).to(device, non_blocking=True)
        x0 = x0.nan_to_num(nan=0.0)
    stream = Stream(subseed(seed, "training"), torch.from_numpy(positions).to(device))
    coins = stream.uniform((2,), step=1)[0, 0]
    x0 = x0.to(device, non_blocking=True)
    if flip:
        mirrored = coins[:, 0] < 0.5
        x0 = _mirror(x0, mirrored)
        for column in data.columns:  # a picture that belongs to the item turns with it
            if column.part.kind == "items" and len(column.part.shape) == 3:
                cond[column.part.name] = _mirror(cond[column.part.name], mirrored)
    if data.columns and label_dropout:
        more = stream.uniform((1 + len(data.columns),), step=2)[0, 0] < label_dropout
        together, each = more[:, 0], more[:, 1:].unbind(1)
        for column, alone in zip(data.columns, each, strict=True):
            value = cond[column.part.name]
            hidden = (alone | together).reshape(-1, *(1,) * (value.ndim - 1))
            cond[column.part.name] = torch.where(hidden, column.part.absent(1).to(value), value)
        if "label" in cond:
            cond["label"] = torch.where(together, null_label, cond["label"])
    if "label" in cond:
        cond["label"] = torch.where(coins[:, 1] < label_dropout, null_label, cond["label"])
    return x0, cond, stream


def _mirror(x: Tensor, which: Tensor) -> Tensor:
    """The items (B, *) of which the given ones, (B,) bool, have their last axis turned round."""
    return torch.where(which.reshape(-1, *(1,) * (x.ndim - 1)), x.flip(-1), x)


@dataclass(frozen=True)
class Batches:
    """Makes batches.

    Attributes:
        data: the training items.
        process: for the kind of noise and the schedule that times refer to.
        density: the law of times.
        seed: the run's.
        label_dropout: how often a condition is hidden, on its own and all of them together.
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
        x0, cond, stream = items_at(
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
        if PRESENCE in cond:
            # A loss is a mean over all places, and those where nothing is add zero: so it becomes one over what is.
            over = 1 / cond[PRESENCE].flatten(1).mean(1)
            factor = over if factor is None else factor * over
        return Batch(x0, t, noise, cond, factor, u)
