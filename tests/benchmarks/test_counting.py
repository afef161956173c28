"""What the benchmarks count and compute, against counts by hand, loops and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # diffusers' own warnings are not ours to answer for


def test_operations_of_a_convolution_and_a_linear_layer(scripts) -> None:
    # forward 2 mults-and-adds a weight and position; backward the same for the weight and, where asked, the input
    layer, x = nn.Conv2d(3, 5, 3, padding=1), torch.zeros(2, 3, 4, 6)
    forward = 2 * 2 * (4 * 6) * 5 * 3 * 9
    count = scripts.train_speed.count_flops
    assert count(lambda: layer(x).sum().backward()) == 2 * forward
    assert count(lambda: layer(x.clone().requires_grad_()).sum().backward()) == 3 * forward
    dense = nn.Linear(7, 11)
    assert count(lambda: dense(torch.zeros(3, 7))) == 2 * 3 * 7 * 11


def test_operations_of_attention_are_counted(scripts) -> None:
    q = torch.zeros(2, 3, 5, 8)  # two products of 5 x 8 by 8 x 5 size in each of 6 heads
    counted = scripts.train_speed.count_flops(lambda: F.scaled_dot_product_attention(q, q, q))
    assert counted == 2 * (2 * 6 * 5 * 5 * 8)


def test_matrix_rate_counts_two_operations_a_product(scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(scripts.common.time, "perf_counter", lambda: float(next(ticks)))
    assert scripts.common.matmul_rate(seconds=2.0, size=10) == 2 * 10**3  # each product takes one tick


def test_a_speed_and_its_share(scripts) -> None:
    runner = scripts.train_speed.Runner("x", 1, 4, lambda: None, flops=2e9, speeds=[10.0, 30.0], shares=[0.5, 0.7])
    assert runner.row() == ["x", "0.00M", "4", "20", "2,000", "40", "60 % (55 to 65)"]


@pytest.mark.parametrize(("name", "calls"), [("pellucid ddim", 6), ("pellucid heun", 11), ("pellucid ancestral", 6)])
def test_calls_of_a_run(scripts, name: str, calls: int) -> None:
    overhead = scripts.overhead
    model = scripts.ours.digits("1k-items").model
    cases = overhead.cases_for(model, overhead.Trivial(), 3, torch.zeros(3, dtype=torch.int64), 6)
    # Heun's last step, to zero noise, needs one call only; diffusers' does the same
    assert {case.name: case.calls for case in cases}[name] == calls
    assert {case.name: case.calls for case in cases}["diffusers HeunDiscreteScheduler"] == 11


def test_kid_is_the_plain_double_sum(scripts) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(6, 4, generator=generator), torch.randn(5, 4, generator=generator) + 1

    def k(x: torch.Tensor, y: torch.Tensor) -> float:
        return (float(x.double() @ y.double()) / 4 + 1) ** 3

    within_a = sum(k(a[i], a[j]) for i in range(6) for j in range(6) if i != j) / 30
    within_b = sum(k(b[i], b[j]) for i in range(5) for j in range(5) if i != j) / 20
    across = sum(k(x, y) for x in a for y in b) / 30
    assert scripts.quality.kid(a, b) == pytest.approx(within_a + within_b - 2 * across, rel=1e-12)


def test_kid_of_equal_laws_is_zero_within_its_error(scripts) -> None:
    generator = torch.Generator().manual_seed(1)
    pairs = [torch.randn(2, 200, 8, generator=generator) for _ in range(40)]
    values = torch.tensor([scripts.quality.kid(a, b) for a, b in pairs])
    # unbiased: the mean of 40 is within 4 standard errors of 0; the stated error is the spread, or up to 1.4 times it
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(40)
    stated = torch.tensor([scripts.quality.kid_error(a, b) for a, b in pairs]).mean()
    assert 0.8 < stated / values.std() < 1.8  # the spread of 40 is itself known to 11 %


def test_frechet_of_gaussians(scripts) -> None:
    # diagonal covariances: |m|^2 + sum (s_a - s_b)^2, exactly, once the samples are whitened
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    x = x - x.mean(0)
    white = x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T
    s_a, s_b, m = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 0.5]), torch.tensor([0.0, 1.0, -2.0])
    found = scripts.quality.frechet(white * s_a, white * s_b + m)
    assert found == pytest.approx(5 + 1 + 6.25, rel=1e-9)
    assert math.isnan(scripts.quality.frechet(white[:3], white))  # fewer items than features mean nothing


def test_the_peer_sees_padded_items_and_gives_them_back(scripts) -> None:
    x = torch.rand(2, 1, 28, 28)
    padded = scripts.peers.to_peer(x)
    assert padded.shape == (2, 1, 32, 32)
    assert padded[:, :, :2].eq(-1).all()
    assert torch.equal(scripts.peers.from_peer(padded), x)


def test_the_claim_needs_both_quality_and_time(scripts) -> None:
    t = scripts.time_to_quality

    def look(name: str, seconds: float, kid: float) -> object:
        return t.Look(name, seconds, 1, scripts.quality.Quality(kid, 0.0, 0.0))

    peer = look("peer", 600, 0.010)
    assert "holds" in t.verdict([look("ours, in turn", 59, 0.009)], peer)
    assert "DOES NOT HOLD" in t.verdict([look("ours, in turn", 61, 0.009)], peer)
    assert "DOES NOT HOLD" in t.verdict([look("ours, in turn", 59, 0.011)], peer)
