"""The variational bound on exact laws: above -log p, tight in the limit, the same on every schedule."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from exact import F64, draws, mixture, process
from torch import Tensor

from pellucid.foundations.errors import UserError
from pellucid.likelihood import Categorical, Discretised, Normal, vlb
from pellucid.oracles import gaussian_oracle
from pellucid.processes.schedules import Betas, linear_beta


def mean_gap(found: Any, exact: Tensor) -> tuple[float, float]:
    """The mean over items of bound + log p, and its Monte Carlo error."""
    return (found.value + exact).mean().item(), found.standard_error.square().sum().sqrt().item() / len(exact)


@pytest.mark.parametrize("schedule", ["vp", "cosine", "rectified"])
def test_tends_to_minus_log_p(schedule: str) -> None:
    oracle = mixture(schedule, 2)
    x = draws(oracle, 256)
    exact = oracle.log_prob(x)
    gaps = []
    for steps in (20, 60, 180, 540):
        gap, error = mean_gap(vlb(oracle, x, steps=steps, evaluations=128), exact)
        assert gap > -3 * error, (steps, gap, error)
        gaps.append(gap)
        last = error
    # The bound's excess falls as 1/T (as the error of a left-hand sum does): by 3 each time, or more at few steps.
    assert gaps[0] > 2.5 * (gaps[1] - 3 * last)
    assert gaps[1] > 2.5 * (gaps[2] - 3 * last)
    gap, error = mean_gap(vlb(oracle, x, continuous=True, evaluations=128), exact)
    assert abs(gap) < 4 * error
    assert error < 0.05


def test_one_gaussian_in_closed_form() -> None:
    """For N(0, v) all terms are known: E|x0 - x0hat|^2 for a given x0, term by term."""
    v, x0 = 0.4, torch.tensor([[0.3, -0.9], [1.1, 0.2]], dtype=F64)
    oracle = gaussian_oracle(process("vp"), torch.zeros(2, dtype=F64), torch.tensor(v, dtype=F64))
    times = torch.tensor([0, 0.2, 0.5, 0.7, 1.0], dtype=F64)
    schedule = oracle.process.schedule

    def squared_error(t: Tensor) -> Tensor:
        rho2 = (schedule.sigma(t) / schedule.alpha(t)) ** 2
        # x0hat = v/(v + rho2) (x0 + rho z)
        return (rho2 / (v + rho2) * x0).square().sum(1) + 2 * rho2 * (v / (v + rho2)) ** 2

    snr = (schedule.alpha(times) / schedule.sigma(times)) ** 2
    expected = {
        "lower": sum(0.5 * (snr[i] - snr[i + 1]) * squared_error(times[i + 1]) for i in range(1, 4)),
        "upper": torch.zeros(2, dtype=F64),
    }
    for i in range(1, 4):
        s, t = times[i], times[i + 1]
        mean_scale = snr[i] - snr[i + 1]  # of |x0 - x0hat|^2 over the lower variance
        rho = schedule.alpha(t) * schedule.sigma(s) / (schedule.alpha(s) * schedule.sigma(t))
        low, high = schedule.sigma(s) ** 2 * (1 - rho**2), schedule.sigma(t) ** 2 * (1 - rho**2)
        spread = 2 * (low / high - 1 - (low / high).log())
        expected["upper"] = expected["upper"] + 0.5 * (mean_scale * low / high * squared_error(t) + spread)
    first = times[1]
    width = (schedule.sigma(first) / schedule.alpha(first)).item()
    decoder = squared_error(first) / (2 * width**2) + math.log(2 * math.pi * width**2)
    many = x0.repeat(20_000, 1)
    for variance, value in expected.items():
        found = vlb(oracle, many, times=times, variance=variance, evaluations=32)
        torch.testing.assert_close(found.prior, oracle.process.prior_kl(many), rtol=0, atol=0)
        mean = (found.diffusion + found.decoder).reshape(20_000, 2).mean(0)
        error = found.standard_error.square().reshape(20_000, 2).sum(0).sqrt() / 20_000
        assert ((mean - value - decoder).abs() < 4 * error).all(), variance
        assert (error < 0.02 * value).all()


def test_continuous_time_knows_only_the_ends() -> None:
    """Betas with the same end-point SNR as VP, spread evenly in log-SNR instead."""
    oracle = mixture("vp", 8)
    schedule = oracle.process.schedule
    one = torch.ones((), dtype=F64)
    lost = torch.linspace(12.0, schedule.log_snr(one).item(), 400, dtype=F64)
    bar = torch.cat([torch.ones(1, dtype=F64), torch.sigmoid(lost)])
    other = Betas(tuple((1 - bar[1:] / bar[:-1]).tolist()))
    assert other.log_snr(one).item() == pytest.approx(schedule.log_snr(one).item(), abs=1e-9)
    twin = type(oracle)(type(oracle.process)(other), oracle.means, oracle.variances)
    x = draws(oracle, 256)
    first, second = (vlb(o, x, continuous=True, evaluations=64, seed=i) for i, o in enumerate((oracle, twin)))
    gap = (first.value - second.value).mean()
    error = (first.standard_error.square() + second.standard_error.square()).sum().sqrt() / len(x)
    assert abs(gap) < 4 * error
    assert error < 0.2


def test_error_bars_cover() -> None:
    oracle = mixture("rectified", 8)
    x = draws(oracle, 2000)
    rough = vlb(oracle, x, continuous=True, evaluations=32)
    fine = vlb(oracle, x, continuous=True, evaluations=512, seed=1)
    gap = (rough.value - fine.value).reshape(200, 10).mean(1)
    variance = (rough.standard_error.square() + fine.standard_error.square()).reshape(200, 10).sum(1) / 100
    score = gap / variance.sqrt()
    # 95 % nominal over 200 groups of 10 items: a standard error of 1.5 %. A single item's estimate has heavy tails
    # (the few times at which it is decided between components), which groups average out.
    assert 0.89 <= (score.abs() < 1.96).double().mean() <= 0.995
    assert abs(score.mean()) < 4 / 200**0.5


class Learned:
    """An oracle that says where between its bounds each step's variance lies."""

    def __init__(self, oracle: Any, v: float) -> None:
        self.oracle, self.process, self.v = oracle, oracle.process, v

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        return self.oracle(x, t)

    def moments(self, x: Tensor, t: Tensor, **cond: Any) -> tuple[Tensor, Tensor]:
        return self.oracle(x, t), torch.full_like(x, self.v)


def test_learned_variances_reach_from_lower_to_upper() -> None:
    oracle = mixture("vp", 3)
    x = draws(oracle, 8)
    for v, name in ((0.0, "lower"), (1.0, "upper")):
        learned = vlb(Learned(oracle, v), x, steps=50, variance="learned")
        fixed = vlb(oracle, x, steps=50, variance=name)
        torch.testing.assert_close(learned.value, fixed.value, rtol=1e-10, atol=0)
    between = vlb(Learned(oracle, 0.5), x, steps=50, variance="learned").value
    assert (between != vlb(oracle, x, steps=50).value).all()


def test_a_chain_takes_its_own_steps() -> None:
    oracle = gaussian_oracle(process("vp"), torch.zeros(2, dtype=F64), torch.tensor(0.5, dtype=F64))
    chain = type(oracle)(type(oracle.process)(linear_beta(num_steps=1000)), oracle.means, oracle.variances)
    x = draws(oracle, 1000)
    own = vlb(chain, x)
    given = vlb(chain, x, times=torch.arange(1001, dtype=F64) / 1000)
    torch.testing.assert_close(own.value, given.value, rtol=0, atol=0)
    # Near the data a narrow step of log-SNR g gives away (exp(g) - 1 - g)/2 for each value: the chain's first steps are
    # long, and this is most of its excess. The error below flat is that of a variance of 0.5 at ever larger noise.
    log_snr = chain.process.schedule.log_snr(torch.arange(1, 1001, dtype=F64) / 1000)
    excess = (torch.expm1(-log_snr.diff()) + log_snr.diff())[:100].sum().item()
    gap, error = mean_gap(own, oracle.log_prob(x))
    assert abs(gap - excess) < 4 * error + 0.1
    assert error < 0.05


@pytest.mark.parametrize("decoder", [Discretised(), Discretised(width=0.3), Categorical()])
@pytest.mark.parametrize(("mean", "noise"), [(0.1234, 0.004), (-0.998, 0.02), (1.3, 0.05), (0.0, 3.0)])
def test_eight_bit_decoders_sum_to_one(decoder: Any, mean: float, noise: float) -> None:
    levels = (torch.arange(256, dtype=torch.float32) / 127.5 - 1)[:, None]
    same = torch.full_like(levels, mean)
    # The level is read from float32 data; the sum itself is float64.
    assert (-decoder.nll(levels, same, same, noise)).exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_discretised_decoder_is_the_integral() -> None:
    """Ho et al., eq. 13, by summing the normal density over a bin."""
    w, mean = 0.006, 0.101
    centre = 140 / 127.5 - 1
    inside = torch.linspace(centre - 1 / 255, centre + 1 / 255, 20001, dtype=F64)
    density = (-0.5 * ((inside - mean) / w) ** 2).exp() / (w * math.sqrt(2 * math.pi))
    x0, m = torch.tensor([[centre]]), torch.tensor([[mean]])
    found = Discretised(width=w).nll(x0, m, m, 0.1)
    assert found.item() == pytest.approx(-torch.trapezoid(density, inside).log().item(), rel=1e-6)


def test_normal_decoder_is_torch_normal() -> None:
    x0, mean = torch.randn(2, 5, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    expected = -torch.distributions.Normal(mean, 0.3).log_prob(x0).sum(1)
    torch.testing.assert_close(Normal(0.3).nll(x0, mean, mean, 0.1), expected)
    torch.testing.assert_close(Normal().nll(x0, mean, mean, 0.3), expected)


def test_refusals() -> None:
    oracle = mixture("vp", 2)
    x = draws(oracle, 3)
    for options, words in [
        ({"steps": 10, "times": torch.linspace(0, 1, 5)}, "not both"),
        ({"times": torch.tensor([0.1, 0.5, 1.0])}, "from 0 to 1"),
        ({"steps": 1}, "steps"),
        ({"continuous": True, "steps": 10}, "continuous"),
        ({"continuous": True, "variance": "upper"}, "variance"),
        ({"variance": "lowest"}, "lowest"),
        ({"variance": "learned"}, "learned no variance"),
        ({"decoder": "discretized"}, "discretised"),
        ({"decoder": "discretised"}, "levels"),
        ({"evaluations": 0}, "evaluations"),
        ({"decoder": Categorical(), "continuous": True}, "levels"),
    ]:
        with pytest.raises(UserError, match=words):
            vlb(oracle, x, **options)
    with pytest.raises(UserError, match="width"):
        Normal(0.0)
