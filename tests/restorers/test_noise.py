"""The level of unknown noise, and Poisson noise made Gaussian, against what is exactly known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.operators import Box, Demosaic, Downsample, Identity, Mask, RandomMask
from pellucid.operators.blur import GaussianBlur
from pellucid.restorers import Observation
from pellucid.restorers.noise import estimate_noise, noise_of, whiten

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return Stream.of(seed, range(shape[0])).normal(shape[1:], step=0)[0, 0].double()


def smooth(*shape: int) -> Tensor:
    """A picture or signal whose finest details are nothing: a polynomial of third degree, which four vanishing moments
    do not see."""
    parts = [torch.linspace(-1, 1, side, dtype=F64) for side in shape[2:]]
    x = torch.zeros(shape, dtype=F64)
    for axis, part in enumerate(parts):
        line = 0.2 * part - 0.3 * part**2 + 0.2 * part**3
        x = x + line.reshape(*(-1 if i == axis else 1 for i in range(len(parts))))
    return x


@pytest.mark.parametrize("level", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("shape", [(2, 3, 96, 80), (4, 2, 4000)], ids=["pictures", "signals"])
def test_of_a_smooth_item_the_level_is_found(shape: tuple[int, ...], level: float) -> None:
    y = smooth(*shape) + level * normal(*shape)
    # 30,000 coefficients: 1.17/sqrt(n) is 0.7 %; neighbours share taps, which widens it, and 4 of it are allowed.
    assert estimate_noise(y) == pytest.approx(level, rel=0.03, abs=1e-12)


def test_edges_do_not_change_it() -> None:
    y = smooth(1, 1, 128, 128)
    y[..., 40:] += 0.4
    y[..., 70:90, :] -= 0.3
    clean = estimate_noise(y)
    assert clean < 1e-12
    assert estimate_noise(y + 0.05 * normal(1, 1, 128, 128)) == pytest.approx(0.05, rel=0.1)


def test_noise_that_was_cut_off_at_white_is_left_out() -> None:
    x = torch.zeros(1, 1, 128, 128, dtype=F64)
    x[..., :80] = 0.98
    y = (x + 0.1 * normal(1, 1, 128, 128)).clamp(-1, 1)
    assert estimate_noise(y) == pytest.approx(0.1, rel=0.06)
    # As a control: with the white part counted it is far off.
    assert estimate_noise(0.5 * y) < 0.8 * 0.05


@pytest.mark.parametrize("mask", [Box(), RandomMask(keep=0.5)])
def test_only_what_was_seen_counts(mask: Any) -> None:
    """Under the mask there may be anything; holes in every 8 x 8 window leave the short filter."""
    shape = (3, 96, 96)
    bound = mask.on(shape)
    y = smooth(2, *shape) + 0.05 * normal(2, *shape)
    spoiled = torch.where(bound.kept.bool(), y, 7 * normal(2, *shape, seed=1))
    # Haar's filter sees the slope of the polynomial, up to 0.01 from pixel to pixel.
    assert noise_of(bound, spoiled) == pytest.approx(0.05, rel=0.06)


def test_after_down_sampling_and_blur_it_is_the_observation_s_own() -> None:
    for operator, side in ((Downsample(4), 32), (GaussianBlur(2.0), 128), (Identity(), 128)):
        bound = operator.on((3, 128, 128))
        y = bound(smooth(1, 3, 128, 128)) + 0.03 * normal(1, 3, side, side)
        assert noise_of(bound, y) == pytest.approx(0.03, rel=0.1)


def test_what_has_no_neighbours_is_refused() -> None:
    with pytest.raises(UserError, match="have no neighbours"):
        estimate_noise(torch.zeros(5, 40))
    with pytest.raises(UserError, match="Demosaic gives cannot be told"):
        noise_of(Demosaic().on((3, 8, 8)), torch.zeros(1, 1, 8, 8))
    with pytest.raises(UserError, match="too little was seen"):
        noise_of(Mask(torch.zeros(8, 8)).on((1, 8, 8)), torch.zeros(1, 1, 8, 8))


def poisson(mean: float, count: int = 200) -> tuple[Tensor, Tensor]:
    """All counts that matter, and their probabilities."""
    n = torch.arange(count, dtype=F64)
    return n, torch.distributions.Poisson(torch.tensor(mean, dtype=F64)).log_prob(n).exp()


@pytest.mark.parametrize("mean", [0.1, 1.0, 4.0, 30.0])
def test_whitened_counts_by_the_exact_law(mean: float) -> None:
    """Sums over the law of n: the weighted mean is unbiased, and what is left has the variance 1 where counts are many.
    Relative to the exact variance 2 (A x + 1)/peak, the weights' is that of n + 1 for m."""
    peak = 50.0
    n, p = poisson(mean)
    y = (2 * n / peak - 1)[:, None]
    seen = whiten(Observation(Identity().on((1,)), y, 0.0), peak)
    weight = seen.operator.forward(torch.ones(len(n), 1, dtype=F64))[:, 0]
    x = 2 * mean / peak - 1
    # argmin_x of E |w y' - w x|^2 is E[w^2 y'] / E[w^2].
    fitted = (p * weight * seen.y[:, 0]).sum() / (p * weight.square()).sum()
    assert float(fitted) == pytest.approx(x, abs=1e-10)
    exact = 2 * (x + 1) / peak
    assert float((p / weight.square()).sum()) == pytest.approx(exact * (mean + 1) / mean, rel=1e-9)
    spread = (p * (seen.y[:, 0] - weight * x).square()).sum()
    if mean >= 4:
        assert float(spread) == pytest.approx(1.0, abs=0.5 / mean)
    assert seen.noise == 1.0


def test_reading_noise_adds_to_it_and_each_item_has_its_own_weights() -> None:
    y = torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=F64)
    seen = whiten(Observation(Identity().on((2,)), y, 0.3), 10.0)
    n = 10 * (y + 1) / 2
    weights = (4 * (n + 1) / 100 + 0.09).rsqrt()
    torch.testing.assert_close(seen.operator.forward(torch.ones_like(y)), weights)
    x, v = normal(2, 2, seed=1), normal(2, 2, seed=2)
    left, right = (seen.operator.forward(x) * v).sum(1), (x * seen.operator.adjoint(v)).sum(1)
    torch.testing.assert_close(left, right)


@pytest.mark.parametrize(
    ("peak", "lowest", "told"),
    [(0.0, 0.0, "positive count"), (float("nan"), 0.0, "positive count"), (9.0, -1.2, "-1.2")],
)
def test_mistakes(peak: float, lowest: float, told: str) -> None:
    with pytest.raises(UserError, match=told):
        whiten(Observation(Identity().on((1,)), torch.tensor([[lowest]]), 0.0), peak)
