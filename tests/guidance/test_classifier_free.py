"""Classifier-free guidance: its identities, its one batched call, its interval, and the exact tilted law."""

from __future__ import annotations

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.guidance import Guided
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import VP
from pellucid.processes.times import GRIDS
from pellucid.solvers import DPMpp2M, sample

F64 = torch.float64
PROCESS = Gaussian(VP())
ORACLE = MixtureOracle(
    PROCESS,
    torch.tensor([[-1.0, 0.5], [1.0, 0.0], [0.0, -1.0]], dtype=F64),
    torch.tensor([0.2, 0.3, 0.1], dtype=F64),
    labels=torch.tensor([0, 1, 1]),
)
NULL = {"label": torch.tensor(-1)}
X = torch.randn(5, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
LABEL = torch.tensor([0, 1, 1, 0, 1])


class Counting:
    """Counts calls and items of a denoiser."""

    def __init__(self, denoiser):
        self.denoiser, self.process, self.sizes = denoiser, denoiser.process, []

    def __call__(self, x, t, **cond):
        self.sizes.append(len(x))
        return self.denoiser(x, t, **cond)


@pytest.mark.parametrize("t", [torch.tensor(0.4, dtype=F64), torch.linspace(0.1, 0.9, 5, dtype=F64)])
def test_scales_one_and_zero_are_the_two_branches(t):
    conditional, unconditional = ORACLE(X, t, label=LABEL), ORACLE(X, t)
    assert torch.equal(Guided(ORACLE, 1.0, NULL)(X, t, label=LABEL), conditional)
    torch.testing.assert_close(Guided(ORACLE, 0.0, NULL)(X, t, label=LABEL), unconditional, rtol=1e-14, atol=0)
    for scale in (-0.5, 0.5, 2.0, 7.5):
        expected = unconditional + scale * (conditional - unconditional)
        torch.testing.assert_close(Guided(ORACLE, scale, NULL)(X, t, label=LABEL), expected, rtol=1e-12, atol=1e-13)


def test_one_call_for_both_branches():
    counting = Counting(ORACLE)
    Guided(counting, 3.0, NULL)(X, torch.tensor(0.4, dtype=F64), label=LABEL)
    assert counting.sizes == [10]
    Guided(counting, 1.0, NULL)(X, torch.tensor(0.4, dtype=F64), label=LABEL)
    assert counting.sizes == [10, 5]


def test_negative_condition_may_be_a_number_or_per_item():
    t = torch.tensor(0.4, dtype=F64)
    expected = ORACLE(X, t) + 2 * (ORACLE(X, t, label=LABEL) - ORACLE(X, t))
    for negative in (-1, torch.tensor([-1]), torch.full((5,), -1)):
        got = Guided(ORACLE, 2.0, {"label": negative})(X, t, label=LABEL)
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-13)
    # A negative prompt: away from the other class.
    got = Guided(ORACLE, 2.0, {"label": 1 - LABEL})(X, t, label=LABEL)
    other = ORACLE(X, t, label=1 - LABEL)
    torch.testing.assert_close(got, other + 2 * (ORACLE(X, t, label=LABEL) - other), rtol=1e-12, atol=1e-13)


def test_interval_acts_item_by_item():
    t = torch.tensor([0.05, 0.3, 0.5, 0.8, 1.0], dtype=F64)
    noise = PROCESS.schedule.sigma(t) / PROCESS.schedule.alpha(t)
    low, high = noise[1].item(), noise[3].item()  # inclusive
    full, limited = Guided(ORACLE, 3.0, NULL), Guided(ORACLE, 3.0, NULL, low, high)
    guided, plain = full(X, t, label=LABEL), ORACLE(X, t, label=LABEL)
    inside = torch.tensor([False, True, True, True, False])[:, None]
    got = limited(X, t, label=LABEL)
    torch.testing.assert_close(got, torch.where(inside, guided, plain), rtol=1e-12, atol=1e-13)
    counting = Counting(ORACLE)
    limited = Guided(counting, 3.0, NULL, low, high)
    assert torch.equal(limited(X, t[0], label=LABEL), ORACLE(X, t[0], label=LABEL))
    assert counting.sizes == [5]  # outside, no second branch is paid for


def test_guided_estimate_has_the_tilted_laws_score():
    """In terms of scores, guidance is grad log [p_t(x) (p_t(x given y)/p_t(x))^w]: Tweedie's formula by autograd."""
    x, t, scale = X.clone().requires_grad_(), torch.tensor(0.35, dtype=F64), 2.5
    tilted = (1 - scale) * ORACLE.log_prob(x, t) + scale * ORACLE.log_prob(x, t, label=LABEL)
    gradient = torch.autograd.grad(tilted.sum(), x)[0]
    alpha, sigma = PROCESS.scales(t, x)
    expected = (x + sigma**2 * gradient) / alpha
    torch.testing.assert_close(Guided(ORACLE, scale, NULL)(x, t, label=LABEL), expected, rtol=1e-11, atol=1e-11)


def test_equal_variances_guide_to_a_shifted_normal():
    """Two normal laws of one variance: the tilted law is normal with mean u + w (c - u), exactly, at every t. So
    sampling a class with w = 3 from a one-component 'unconditional' law ends at that mean."""

    class Shifted:
        process = PROCESS

        def __call__(self, x, t, *, label):
            alpha, sigma = PROCESS.scales(t, x)
            mean = label[:, None].double()
            return mean + alpha * 0.25 / (alpha**2 * 0.25 + sigma**2) * (x - alpha * mean)

    count = 4000
    label = torch.ones(count)
    guided = Guided(Shifted(), 3.0, {"label": torch.tensor(0.5)})
    x = PROCESS.prior(Stream.of(0, range(count)).normal((1,), step=0)[0, 0].double())
    end = sample(guided, x, GRIDS["log-snr"](PROCESS.schedule, 60), DPMpp2M(), label=label)
    # u = 0.5, c = 1: mean 2. Four standard errors, plus the prior's and solver's bias (below 0.02).
    assert abs(end.mean().item() - 2.0) < 4 * 0.5 / count**0.5 + 0.02
    assert abs(end.var().item() - 0.25) < 4 * 0.25 * (2 / count) ** 0.5 + 0.02


def test_mistakes_are_told():
    with pytest.raises(UserError, match=r"interval is empty: from 2.0 to 1.0"):
        Guided(ORACLE, 2.0, NULL, 2.0, 1.0)

    class Other:
        process = object()

        def __call__(self, x, t, **cond):
            return x

    with pytest.raises(UserError, match="only a Gaussian process has"):
        Guided(Other(), 2.0, NULL, 0.1, 1.0)(X, torch.tensor(0.5), label=LABEL)
