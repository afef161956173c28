r"""Whether posterior draws tell the truth about their own uncertainty, on items whose truth is known.

If x_0 and k draws are exchangeable given y, as draws from p(x_0 | y) are, then for any function f the rank of f(x_0)
among the f(draws) is uniform on 0, ..., k (Cook, Gelman and Rubin, "Validation of Software for Bayesian Models Using
Posterior Quantiles", 2006; Talts et al., "Validating Bayesian Inference Algorithms with Simulation-Based Calibration",
2018, theorem 1). So f(x_0) lies between the l-th lowest and the l-th highest draw with probability

    1 - 2 l/(k + 1).                                                                                               (1)

Here f runs over random directions: sums of all values with normal weights. Ranks of one item depend on one another, so
error bars count items, not directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.measured import Measured, wilson
from ..foundations.rng import Stream, subseed


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the ranks say.

    Attributes:
        coverage: the share of truths within their credible regions, over items and directions, with Wilson's 95 %
            interval for as many trials as items.
        level: what it should be: the level that k draws can tell which is nearest to the one asked for, equation (1).
        ranks: (bins,), shares of the ranks, from lowest to highest; 1/bins each for an exact sampler.
        p_value: of Pearson's chi-squared test that ranks are uniform, one direction for each item.
    """

    coverage: Measured
    level: float
    ranks: Tensor
    p_value: float

    @property
    def calibrated(self) -> bool:
        """Whether the level lies within the coverage's error bar."""
        assert self.coverage.low is not None
        assert self.coverage.high is not None
        return self.coverage.low <= self.level <= self.coverage.high

    def sentence(self) -> str:
        """The coverage in words."""
        return (
            f"{100 * self.level:.0f} % credible regions hold the truth in {100 * self.coverage.value:.1f} % of cases "
            f"({self.coverage.interval})"
        )


def calibrate(
    samples: Tensor, truth: Tensor, *, level: float = 0.9, num_directions: int = 32, bins: int = 10, seed: int = 0
) -> Calibration:
    """Coverage and ranks of posterior draws.

    Args:
        samples: k draws for each of n items, (n, k, *), drawn independently for each item.
        truth: the items themselves, (n, *), which no draw and no setting has seen.
        level: of the credible regions.
        num_directions: how many functions f.
        bins: of the histogram of ranks.
        seed: of the directions.

    Raises:
        UserError: shapes that do not fit, too few draws for the level, or numbers that are not finite.
    """
    if samples.ndim < 3 or samples.shape[0] != len(truth) or samples.shape[2:] != truth.shape[1:] or not len(truth):
        raise UserError(
            f"samples must be (n, k, *) and truth (n, *), got {tuple(samples.shape)} and {tuple(truth.shape)}"
        )
    count, k = samples.shape[:2]
    if not 0 < level < 1 or num_directions < 1 or bins < 2:
        raise UserError(
            f"level lies in (0, 1), directions are 1 or more, bins 2 or more: {level}, {num_directions}, {bins}"
        )
    outside = round((1 - level) / 2 * (k + 1))
    if outside < 1 or 2 * outside > k:
        raise UserError(
            f"{k} draws for each item cannot tell regions of {100 * level:g} %: draw at least {needed(level)}"
        )
    if not bool(samples.isfinite().all() & truth.isfinite().all()):
        raise UserError("samples or truth hold numbers that are not finite")
    ranks = _ranks(samples, truth, num_directions, seed)
    # A rank between the (l + 1)-th and the (k - l)-th draw; halves are ties.
    inside = (ranks > outside - 0.75) & (ranks < k - outside + 0.75)
    share = float(inside.double().mean())
    low, high = wilson(round(share * count), count)
    place = ((ranks + 0.5) / (k + 1) * bins).long().clamp(0, bins - 1)
    histogram = torch.bincount(place.flatten(), minlength=bins).double()
    one = torch.bincount(place[torch.arange(count), torch.arange(count) % num_directions], minlength=bins)
    # How many of the ranks 0..k fall in each bin, for k + 1 need not be a multiple of the bins.
    room = torch.bincount(((torch.arange(k + 1) + 0.5) / (k + 1) * bins).long().clamp(0, bins - 1), minlength=bins)
    expected = room[room > 0].double() / (k + 1) * count
    p_value = float(stats.chisquare(one[room > 0].double().numpy(), expected.numpy()).pvalue)
    return Calibration(
        Measured("coverage", share, low, high, count, share=True),
        1 - 2 * outside / (k + 1),
        histogram / histogram.sum(),
        p_value,
    )


def needed(level: float) -> int:
    """The fewest draws that can tell regions of a level.

    >>> needed(0.9)
    19
    """
    return round(2 / (1 - level)) - 1


def _ranks(samples: Tensor, truth: Tensor, num_directions: int, seed: int) -> Tensor:
    """How many draws lie below the truth, ties counting half, (n, directions)."""
    draws, real = samples.flatten(2).cpu().double(), truth.flatten(1).cpu().double()
    # A seed of its own: an operator or a sampler of the same seed must not share these numbers.
    stream = Stream.of(subseed(seed, "calibration"), range(num_directions))
    directions = stream.normal(real.shape[1:], step=0)[0, 0].double()
    projected = draws @ directions.T
    at = (real @ directions.T)[:, None]
    # A draw that equals the truth to round-off is a tie.
    near = (projected - at).abs() <= 1e-6 * projected.abs().amax(dim=(0, 1))
    return ((projected < at) & ~near).sum(1).double() + 0.5 * near.sum(1)
