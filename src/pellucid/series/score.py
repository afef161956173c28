r"""Made series against real ones: autocorrelation, spectrum, whether a classifier tells them apart, and forecasts.

A forecast is a restoration: the steps up to some hour are seen, those behind it are masked, and draws from
p(series given what is seen) have quantiles. An interval between the 5 % and the 95 % quantile should hold 90 % of what
came. Two scores judge sharpness and honesty at once, and a forecaster expects the best of both by saying what it
believes:

    CRPS      E|X - y| - E|X - X'| / 2                                                                             (1)
    pinball   q (y - z)^+ + (1 - q) (z - y)^+ of the quantile z at the level q                                     (2)

(Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", 2007, eq. 21 and 33.) From k draws
(1) is estimated without bias, E|X - X'| over pairs of different draws (Ferro, "Fair scores for ensemble forecasts",
2014, eq. 3). Steps behind a series' end are NaN, and count nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.arrays import Dataset
from ..data.codecs import SeriesCodec
from ..foundations.errors import UserError
from ..foundations.measured import Measured
from ..foundations.rng import Stream, subseed
from ..metrics.c2st import held_out_hits, perceptron
from ..metrics.features import with_presence
from ..model import Model
from ..operators import Mask
from ..restoration.restore import restore
from .forecast import LEVELS, SETTINGS, quantile, series_shape

_LARGEST = 1024  # values of an item whose covariance is estimated
_LENGTHS = 4
_RIDGE = 1e-3  # added to its diagonal, in units of a value's variance


def autocorrelations(x: Tensor) -> Tensor:
    """Each item's and channel's correlation with itself k steps on, (N, C, L), 1 at k = 0.

    Its own mean is taken off; the estimate is the biased one, which is a correlation whatever the series.
    """
    centred = (x - x.nanmean(-1, keepdim=True)).nan_to_num().double()
    length = x.shape[-1]
    power = torch.fft.rfft(centred, n=2 * length).abs().square()
    found = torch.fft.irfft(power, n=2 * length)[..., :length]
    return found / found[..., :1].clamp_min(1e-12)


def autocorrelation(x: Tensor) -> Tensor:
    """The mean of `autocorrelations` over items, (N, C, L) -> (C, L)."""
    return autocorrelations(x).mean(0)


def autocorrelation_gap(made: Tensor, real: Tensor) -> Measured:
    """The largest difference of the mean autocorrelations of made and real series (N, C, L), over channels and lags,
    with what chance alone makes of it: 1.96 standard errors to either side, at that lag."""
    a, b = autocorrelations(made), autocorrelations(real)
    gap = (a.mean(0) - b.mean(0)).abs()
    spread = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
    most = gap.flatten().argmax()
    value, half = gap.flatten()[most].item(), 1.96 * spread.flatten()[most].item()
    label = "Largest gap of the autocorrelations"
    return Measured(
        "autocorrelation_gap", value, max(value - half, 0.0), value + half, min(len(a), len(b)), label=label
    )


def spectra(x: Tensor) -> Tensor:
    """Each item's and channel's power at k cycles in L steps, k = 0 ... L/2, (N, C, L) -> (N, C, L/2 + 1).

    Scaled so that its sum over all L frequencies is the mean square of the steps that are there (Parseval).
    """
    steps = (~x.isnan()).sum(-1, keepdim=True).clamp_min(1)
    return torch.fft.rfft(x.nan_to_num().double()).abs().square() / (x.shape[-1] * steps)


def spectrum(x: Tensor) -> Tensor:
    """The mean of `spectra` over items, (N, C, L) -> (C, L/2 + 1)."""
    return spectra(x).mean(0)


def discriminative(made: Tensor, real: Tensor, *, seed: int = 0) -> Measured:
    """|accuracy - 1/2| of a small network that tells made from real series (N, C, L) on items it has not seen: 0 where
    it cannot, 0.5 where it always can; with a 95 % interval over those items.

    Source: Yoon, Jarrett and van der Schaar, "Time-Series Generative Adversarial Networks", 2019, section 5.1.
    """
    whole = not bool(made.isnan().any() or real.isnan().any())
    x, y = (each.flatten(1) if whole else with_presence(each) for each in (made.double(), real.double()))
    hits = held_out_hits(perceptron, x, y, seed).double()
    accuracy, half = hits.mean().item(), 1.96 * (hits.var().item() / len(hits)) ** 0.5
    low, high = max(abs(accuracy - 0.5) - half, 0.0), abs(accuracy - 0.5) + half
    return Measured("discriminative_score", abs(accuracy - 0.5), low, high, len(hits), label="Discriminative score")


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of items, in the model's scale.

    Attributes:
        real: the items, (B, C, L).
        samples: draws given the first `seen` steps, (B, k, C, L).
        seen: how many, of all or of each, (B,).
    """

    real: Tensor
    samples: Tensor
    seen: int | Tensor

    def quantile(self, share: float) -> Tensor:
        """Of the draws, (B, C, L), as `forecast.quantile`."""
        return quantile(self.samples, share)

    def coverage(self, level: float = 0.9) -> Measured:
        """How often the truth is within the interval; its 95 % error bar is over items, whose hours go together."""
        low, high = self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)
        inside = self._over_items(((self.real >= low) & (self.real <= high)).double())
        label = f"Truth within {100 * level:g} % forecast intervals"
        found = _mean("forecast_coverage", inside, label)
        if found.low is None or found.high is None:
            return replace(found, share=True)
        return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0), share=True)

    def error(self, mean: Tensor | None = None) -> float:
        """The root mean square error of the draws' mean over the steps ahead; of a given forecast (C, L) instead."""
        guess = self.samples.mean(1) if mean is None else mean
        return self._over_items((guess - self.real).square()).mean().sqrt().item()

    def crps(self) -> Measured:
        """Equation (1), its mean over the steps ahead, with a 95 % interval over items."""
        count = self.samples.shape[1]
        near = (self.samples - self.real[:, None]).abs().mean(1)
        ordered = self.samples.sort(1).values
        # sum over pairs |x_i - x_j| = 2 sum_i (2 i - k + 1) x_(i), i from 0
        place = 2 * torch.arange(count, device=ordered.device).to(ordered) - count + 1
        pairs = torch.einsum("i,bi...->b...", place, ordered) / max(count * (count - 1), 1)
        return _mean("forecast_crps", self._over_items(near - pairs), "CRPS of the forecasts, model's scale")

    def pinball(self) -> Measured:
        """Equation (2), its mean over `LEVELS` and the steps ahead, with a 95 % interval over items."""
        losses = []
        for level in LEVELS:
            gap = self.real - self.quantile(level)
            losses.append(torch.maximum(level * gap, (level - 1) * gap))
        return _mean("forecast_pinball", self._over_items(torch.stack(losses).mean(0)), "Pinball loss, model's scale")

    def _over_items(self, values: Tensor) -> Tensor:
        """The mean over channels and steps ahead of each item, (B,), what has no truth left out."""
        first = torch.as_tensor(self.seen, device=values.device).reshape(-1, 1, 1)
        counts = (torch.arange(self.real.shape[-1], device=values.device) >= first) & ~self.real.isnan()
        found = torch.where(counts, values.double(), math.nan).flatten(1).nanmean(1)
        return found[~found.isnan()]


def _mean(name: str, values: Tensor, label: str) -> Measured:
    mean = values.mean().item()
    if len(values) < 2:
        return Measured(name, mean, count=len(values), label=label)
    half = 1.96 * values.std().item() / len(values) ** 0.5
    return Measured(name, mean, mean - half, mean + half, len(values), label=label)


def forecast_items(
    model: Model,
    data: Dataset,
    *,
    seen: float = 0.75,
    items: int = 40,
    samples: int = 20,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Forecasts:
    """Forecasts held-out items from their first steps, without telling the model their class.

    Args:
        model: of signals.
        data: items, in the model's units.
        seen: the share of each item's steps that are known.
        items: how many items, at equal distances; of series with ends of their own, among those of the four commonest
            lengths.
        samples: draws of each.
        seed: any integer.
        progress: called with steps done and in all.

    Raises:
        UserError: a model of other items, or a share that leaves no step on one side.
    """
    _, length = series_shape(model)
    if not 0 < int(seen * length) < length:
        raise UserError(f"a share of the {length} steps is seen, more than none and less than all, got {seen:g}")
    found_ends = _ends(np.asarray(data.items[:])) if isinstance(model.card.codec, SeriesCodec) else None
    rows_of = np.arange(len(data))
    if found_ends is not None:  # each length is a restoration of its own
        kinds, counts = np.unique(found_ends, return_counts=True)
        rows_of = np.flatnonzero(np.isin(found_ends, kinds[np.argsort(-counts, kind="stable")[:_LENGTHS]]))
    chosen = rows_of[np.linspace(0, len(rows_of) - 1, min(items, len(rows_of))).astype(np.int64)]
    real = model.card.codec.encode(np.asarray(data.items[chosen])).to(model.device)
    ends = torch.from_numpy(_ends(real.cpu().numpy())).to(real.device)
    drawn = torch.full((len(real), samples, *real.shape[1:]), math.nan, device=real.device)
    known = (seen * ends).long().clamp_min(1)
    lengths = ends.unique().tolist()
    for number, steps in enumerate(lengths):

        def follow(done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(number * total + done, len(lengths) * total)

        rows = (ends == steps).nonzero()[:, 0]
        part = real[rows, :, :steps]
        holes = part.isnan().any(0)  # what one of them lacks, none is told
        mask = Mask(((torch.arange(steps, device=real.device) < max(1, int(seen * steps))) & ~holes).float())
        mask = mask.on(tuple(part.shape[1:]))
        found = restore(model, mask, part, samples=samples, seed=seed, progress=follow, **SETTINGS)
        drawn[rows, :, :, :steps] = found.samples
    return Forecasts(real, drawn, known if len(lengths) > 1 else int(known[0]))


def _ends(items: NDArray[np.floating]) -> NDArray[np.int64]:
    """The steps of series (N, C, L) up to their last value, (N,)."""
    there = (~np.isnan(items)).any(1)
    return np.where(there.any(1), there.shape[1] - there[:, ::-1].argmax(1), 0)


def baselines(ahead: Forecasts, train: Tensor, *, samples: int = 100, seed: int = 0) -> dict[str, Forecasts]:
    """What needs no model: forecasts of the same items by simple rules, by name.

    Args:
        ahead: the items and what is seen of them.
        train: training items (N, C, L), in the model's scale.
        samples: draws of the rules that draw.
        seed: any integer.
    """
    real, seen = ahead.real, ahead.seen
    before = torch.as_tensor(seen, device=real.device).expand(len(real)) - 1
    last = real[torch.arange(len(real)), :, before].nan_to_num()[..., None].expand_as(real)
    usual = train.nanmean(0).expand_as(real)
    found = {"last value": last[:, None], "mean of the training series": usual[:, None]}
    if isinstance(seen, int) and not bool(train.isnan().any() or real.isnan().any()):
        chosen = train[torch.linspace(0, len(train) - 1, min(samples, len(train))).long()]
        found["the training series themselves"] = chosen[None].expand(len(real), -1, -1, -1)
        if train[0].numel() <= _LARGEST:
            found["Gaussian of their mean and covariance"] = conditional_draws(real, seen, train, samples, seed)
    return {name: Forecasts(real, draws, seen) for name, draws in found.items()}


def conditional_draws(real: Tensor, seen: int, train: Tensor, samples: int, seed: int) -> Tensor:
    """Draws (B, k, C, L) of the Gaussian with the training items' moments, given the first `seen` steps of each item.

    With indices a of what is seen and b of the rest, N(m_b + S_ba S_aa^-1 (x_a - m_a), S_bb - S_ba S_aa^-1 S_ab).
    """
    channels, length = real.shape[1:]
    flat = train.flatten(1).double()
    mean, gap = flat.mean(0), flat - flat.mean(0)
    cov = gap.T @ gap / max(len(flat) - 1, 1)
    cov.diagonal().add_(_RIDGE * cov.diagonal().mean())
    is_seen = (torch.arange(length, device=real.device) < seen).expand(channels, -1).flatten()
    a, b = is_seen.nonzero()[:, 0], (~is_seen).nonzero()[:, 0]
    gain = torch.linalg.solve(cov[a][:, a], cov[a][:, b]).T
    rest = cov[b][:, b] - gain @ cov[a][:, b]
    factor = torch.linalg.cholesky((rest + rest.T) / 2 + 1e-9 * torch.eye(len(b)).to(rest))
    items = real.flatten(1).double()
    middle = mean[b] + (items[:, a] - mean[a]) @ gain.T
    white = Stream.of(subseed(seed, "baseline"), range(len(items) * samples), device=real.device)
    noise = white.normal((len(b),), step=0)[0, 0].double().unflatten(0, (len(items), samples))
    drawn = items[:, None].repeat(1, samples, 1)
    drawn[..., b] = middle[:, None] + noise @ factor.T
    return drawn.to(real.dtype).unflatten(2, (channels, length))
