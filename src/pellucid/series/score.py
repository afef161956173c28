r"""Made series against real ones: autocorrelation, spectrum, whether a classifier tells them apart, and forecasts.

A forecast is a restoration: the steps up to some hour are seen, those behind it are masked, and draws from
p(series given what is seen) have quantiles. An interval between the 5 % and the 95 % quantile should hold 90 % of what
came; a forecast is worth its name where its mean is nearer than the mean of all series.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Dataset
from ..foundations.errors import UserError
from ..foundations.measured import Measured
from ..metrics.c2st import held_out_hits, perceptron
from ..model import Model
from ..operators import Mask
from ..restoration.restore import restore


def autocorrelation(x: Tensor) -> Tensor:
    """The mean over items of each channel's correlation with itself k steps on, (N, C, L) -> (C, L), 1 at k = 0.

    Each item's own mean is taken off; the estimate is the biased one, which is a correlation whatever the series.
    """
    centred = (x - x.mean(-1, keepdim=True)).double()
    length = x.shape[-1]
    power = torch.fft.rfft(centred, n=2 * length).abs().square()
    found = torch.fft.irfft(power, n=2 * length)[..., :length]
    return (found / found[..., :1].clamp_min(1e-12)).mean(0)


def spectrum(x: Tensor) -> Tensor:
    """The mean over items of each channel's power at k cycles in the length, k = 0 ... L/2, (N, C, L) -> (C, L/2 + 1).

    Scaled so that its sum over all L frequencies is the mean square (Parseval).
    """
    return (torch.fft.rfft(x.double()).abs() / x.shape[-1]).square().mean(0)


def discriminative(made: Tensor, real: Tensor, *, seed: int = 0) -> Measured:
    """|accuracy - 1/2| of a small network that tells made from real series (N, C, L) on items it has not seen: 0 where
    it cannot, 0.5 where it always can; with a 95 % interval over those items.

    Source: Yoon, Jarrett and van der Schaar, "Time-Series Generative Adversarial Networks", 2019, section 5.1.
    """
    hits = held_out_hits(perceptron, made.flatten(1).double(), real.flatten(1).double(), seed).double()
    accuracy, half = hits.mean().item(), 1.96 * (hits.var().item() / len(hits)) ** 0.5
    low, high = max(abs(accuracy - 0.5) - half, 0.0), abs(accuracy - 0.5) + half
    return Measured("discriminative_score", abs(accuracy - 0.5), low, high, len(hits), label="Discriminative score")


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of items, in the model's scale.

    Attributes:
        real: the items, (B, C, L).
        samples: draws given the first `seen` steps, (B, k, C, L).
        seen: how many.
    """

    real: Tensor
    samples: Tensor
    seen: int

    def quantile(self, share: float) -> Tensor:
        """Of the draws, (B, C, L): so that of k draws and the truth, all alike, the truth is below with the chance
        `share` (Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996, definition 6)."""
        count = self.samples.shape[1]
        place = min(max(share * (count + 1) - 1, 0.0), count - 1.0)
        ordered = self.samples.sort(1).values
        low = math.floor(place)
        high = min(low + 1, count - 1)
        return torch.lerp(ordered[:, low], ordered[:, high], place - low)

    def coverage(self, level: float = 0.9) -> Measured:
        """How often the truth is within the interval; its 95 % error bar is over items, whose hours go together."""
        low, high = self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)
        ahead = slice(self.seen, None)
        inside = ((self.real >= low) & (self.real <= high))[..., ahead].double().flatten(1).mean(1)
        half = 1.96 * inside.std().item() / len(inside) ** 0.5
        mean = inside.mean().item()
        bounds = max(mean - half, 0.0), min(mean + half, 1.0)
        label = f"Truth within {100 * level:g} % forecast intervals"
        return Measured("forecast_coverage", mean, *bounds, count=len(inside), share=True, label=label)

    def error(self, mean: Tensor | None = None) -> float:
        """The root mean square error of the draws' mean over the steps ahead; of a given forecast (C, L) instead."""
        guess = self.samples.mean(1) if mean is None else mean
        return (guess - self.real)[..., self.seen :].square().mean().sqrt().item()


def forecast(
    model: Model,
    data: Dataset,
    *,
    seen: int,
    items: int = 40,
    samples: int = 20,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Forecasts:
    """Forecasts held-out items from their first steps, without telling the model their class.

    Args:
        model: of signals.
        data: items, in the model's units.
        seen: steps that are known.
        items: how many items, at equal distances.
        samples: draws of each.
        seed: any integer.
        progress: called with steps done and in all.

    Raises:
        UserError: a model of other items, or a number of steps out of range.
    """
    if len(model.item_shape) != 2:
        raise UserError(f"forecasts are of signals (C, L), and the model's items have the shape {model.item_shape}")
    length = model.item_shape[1]
    if not 0 < seen < length:
        raise UserError(f"of {length} steps between 1 and {length - 1} are seen, got {seen}")
    chosen = np.linspace(0, len(data) - 1, min(items, len(data))).astype(np.int64)
    real = model.card.codec.encode(np.asarray(data.items[chosen])).to(model.device)
    mask = Mask((torch.arange(length) < seen).float())
    # On white noise, whose spread is known, 20 steps of second order keep it to 2 %; 50 ancestral ones lose 8 % of it.
    # On days of power demand mmps errs by 0.29, pigdm by 0.32 and ddnm by 0.37.
    found = restore(
        model,
        mask,
        real,
        method="mmps",
        solver="dpmpp-2m",
        steps=20,
        samples=samples,
        seed=seed,
        progress=progress,
    )
    return Forecasts(real, found.samples, seen)
