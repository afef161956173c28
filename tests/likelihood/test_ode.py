"""The ODE's log-density against exact laws, and its error bars against its errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from exact import F64, draws, mixture, process
from torch import Tensor

from pellucid.foundations.errors import UserError
from pellucid.likelihood import log_prob
from pellucid.likelihood.ode import _gregory
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.solvers import SOLVERS, sample


@pytest.mark.parametrize("schedule", ["vp", "cosine", "rectified"])
@pytest.mark.parametrize(("size", "components"), [(2, 1), (2, 4), (64, 1), (64, 4)])
def test_exact_density(schedule: str, size: int, components: int) -> None:
    oracle = mixture(schedule, size, components)
    x = draws(oracle, 24)
    found = log_prob(oracle, x, trace="exact", steps=320 if size == 64 else 160)
    # The blur of noise_min = 1e-3 changes log p by at most D/2 1e-6/0.2, the end of VP (alpha = 0.0066, variances of
    # 0.2 to 1) by 4e-5/2 a value; the rest is the integration's error.
    torch.testing.assert_close(found.value, oracle.log_prob(x), rtol=0, atol=1e-3)
    assert (found.standard_error == 0).all()
    assert found.evaluations == (321 if size == 64 else 161)


def test_exploding_variance() -> None:
    oracle = mixture("ve", 2)
    x = draws(oracle, 24)
    # The prior N(0, 50^2) knows the data's unit variance to 1/50^2: 4e-4/2 nats for each value.
    torch.testing.assert_close(log_prob(oracle, x).value, oracle.log_prob(x), rtol=0, atol=1e-3)


def test_fourth_order() -> None:
    oracle = mixture("rectified", 2)
    x = draws(oracle, 200)
    exact = log_prob(oracle, x, steps=1024).value
    errors = [(log_prob(oracle, x, steps=n).value - exact).abs().mean().item() for n in (64, 128, 256)]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    # The multistep rule starts with lower orders where both sides vanish, so it may only seem better than 4.
    assert min(orders) > 3.5, (errors, orders)


def test_a_path_that_starts_at_large_noise() -> None:
    """There the integrand does not vanish at its end, and the rule's own ends count; the value is p of blurred data."""
    oracle = mixture("rectified", 2)
    x = draws(oracle, 50)
    level = torch.tensor(-2 * math.log(0.5), dtype=F64)
    t = oracle.process.schedule.time(level)
    alpha = oracle.process.schedule.alpha(t)
    expected = oracle.log_prob(alpha * x, t) + 2 * alpha.log()
    found = log_prob(oracle, x, noise_min=0.5, steps=96)
    # The multistep rule's first steps, of 0.08, are of lower order: errors of 0.08^2/2 times slopes of a few tenths.
    torch.testing.assert_close(found.value, expected, rtol=0, atol=3e-3)


@pytest.mark.parametrize("steps", [5, 6, 40])
def test_the_rule_integrates_cubics(steps: int) -> None:
    nodes = torch.linspace(0, 2, steps + 1, dtype=F64)
    weights = torch.tensor(_gregory(steps), dtype=F64) * 2 / steps
    for power in range(4):
        assert (weights * nodes**power).sum().item() == pytest.approx(2 ** (power + 1) / (power + 1), rel=1e-12)


def test_integrates_to_one() -> None:
    oracle = mixture("cosine", 1)
    grid = torch.linspace(-6, 6, 1201, dtype=F64)[:, None]
    density = log_prob(oracle, grid, steps=128).value.exp()
    # The trapezoid's rule is exact to round-off for a smooth density; what is left is the path's error.
    assert torch.trapezoid(density, grid[:, 0]).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("trace", "probes"), [("hutchinson", 2), ("hutchinson", 8), ("hutch++", 9)])
def test_error_bars_cover(trace: str, probes: int) -> None:
    oracle = mixture("vp", 16)
    x = draws(oracle, 400)
    exact = log_prob(oracle, x, trace="exact", steps=96).value
    found = log_prob(oracle, x, trace=trace, probes=probes, steps=96)
    score = (found.value - exact) / found.standard_error
    # 95 % nominal over 400 independent items: a standard error of 1.1 %. The bar itself is estimated; few nodes carry
    # most of the variance, so two probes leave it about 6 degrees of freedom, and a t-law's 90 %.
    assert (0.86 if probes == 2 else 0.91) <= (score.abs() < 1.96).double().mean() <= 0.985
    # Over groups of 10 items the bar is well known, whatever the number of probes.
    groups = (found.value - exact).reshape(40, 10).sum(1)
    groups = groups / found.standard_error.square().reshape(40, 10).sum(1).sqrt()
    assert (groups.abs() < 1.96).double().mean() >= 0.82  # 40 groups: 3.4 %
    # Unbiased, over all of them.
    assert abs((found.value - exact).sum()) < 4 * found.standard_error.square().sum().sqrt()


def test_probes_belong_to_the_item() -> None:
    oracle = mixture("vp", 20)
    x = draws(oracle, 6)
    ids = torch.tensor([5, 3, 11, 0, 8, 7])
    whole = log_prob(oracle, x, trace="hutchinson", steps=16, ids=ids)
    part = log_prob(oracle, x[2:4], trace="hutchinson", steps=16, ids=ids[2:4])
    torch.testing.assert_close(part.value, whole.value[2:4], rtol=0, atol=1e-10)
    other = log_prob(oracle, x, trace="hutchinson", steps=16, ids=ids, seed=1)
    assert (other.value != whole.value).all()


def test_agrees_with_the_change_of_variables_of_the_sampler() -> None:
    """Independent of `log_prob`: the Jacobian of the map from noise to samples, which Heun's solver makes."""
    oracle = mixture("cosine", 2)
    schedule = oracle.process.schedule
    levels = torch.linspace(math.log(1e-3), 0.5 * -schedule.log_snr(torch.ones((), dtype=F64)).item(), 400, dtype=F64)
    times = schedule.time(-2 * levels).flip(0)
    times[0] = 1

    def made(noise: Tensor) -> Tensor:
        return sample.__wrapped__(oracle, noise, times, SOLVERS["heun"]())  # type: ignore[attr-defined]

    noise = torch.randn(5, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    jacobian = torch.autograd.functional.jacobian(lambda z: made(z).sum(0), noise).permute(1, 0, 2)
    expected = -0.5 * noise.square().sum(1) - math.log(2 * math.pi) - jacobian.det().abs().log()
    x = made(noise)
    alpha = schedule.alpha(times[-1])
    found = log_prob(oracle, x / alpha, steps=256).value - 2 * math.log(alpha)
    # Heun's error on 400 steps in log-SNR is of order (17/400)^2 = 2e-3.
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)


def test_conditions_reach_the_denoiser() -> None:
    means = torch.tensor([[-1.0], [1.0]], dtype=F64)
    oracle = MixtureOracle(process("rectified"), means, torch.full((2,), 0.1, dtype=F64), labels=torch.tensor([0, 1]))
    x = torch.tensor([[-0.9], [0.8]], dtype=F64)
    label = torch.tensor([0, 1])
    found = log_prob(oracle, x, label=label)
    # alpha(1) = 1e-3 times the component's mean of 1, times x_1 of about 1.
    torch.testing.assert_close(found.value, oracle.log_prob(x, label=label), rtol=0, atol=5e-3)


@dataclass(frozen=True)
class Broken:
    """A denoiser that returns what it should not."""

    process: Any
    value: float = math.nan
    cut: int = 0

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        return (x * self.value)[:, self.cut :]


def test_refusals() -> None:
    oracle = mixture("vp", 2)
    x = draws(oracle, 3)
    with pytest.raises(UserError, match="unscaled"):
        log_prob(oracle, 255 * torch.rand(4, 3, dtype=F64))
    with pytest.raises(UserError, match="encode"):
        log_prob(oracle, torch.zeros(4, 2, dtype=torch.uint8))
    with pytest.raises(UserError, match=r"items \[1\]"):
        log_prob(oracle, torch.tensor([[0.0, 0.0], [math.nan, 0.0]]))
    with pytest.raises(UserError, match="shape"):
        log_prob(oracle, x[:0])
    with pytest.raises(UserError, match="ids"):
        log_prob(oracle, x, ids=torch.arange(2))
    with pytest.raises(UserError, match="steps"):
        log_prob(oracle, x, steps=1)
    with pytest.raises(UserError, match="probes"):
        log_prob(oracle, x, trace="hutchinson", probes=1)
    with pytest.raises(UserError, match="hutchinson"):
        log_prob(oracle, x, trace="hutchinsen")
    with pytest.raises(UserError, match="noise_min"):
        log_prob(oracle, x, noise_min=200.0)
    with pytest.raises(UserError, match="exact trace"):
        log_prob(oracle, torch.zeros(1, 2000), trace="exact")
    with pytest.raises(UserError, match="NaN"):
        log_prob(Broken(oracle.process), x)
    with pytest.raises(UserError, match="shape"):
        log_prob(Broken(oracle.process, 1.0, 1), x)


def test_a_process_without_density_is_refused() -> None:
    class Tokens:
        pass

    with pytest.raises(UserError, match="Tokens"):
        log_prob(Broken(Tokens()), torch.zeros(1, 2))


def test_a_chain_that_does_not_end_in_its_prior_is_refused() -> None:
    oracle = mixture("vp", 2)
    short = MixtureOracle(Gaussian(type(oracle.process.schedule)(0.1, 2.0)), oracle.means, oracle.variances)
    x = draws(oracle, 3)
    with pytest.raises(UserError, match=r"bits per value.*force=True"):
        log_prob(short, x)
    assert torch.isfinite(log_prob(short, x, steps=16, force=True).value).all()
