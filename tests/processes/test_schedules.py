"""Values that schedules must meet, against closed forms and each other."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import EDM, SCHEDULES, VE, VP, Betas, Rectified, Sigmoid, SubVP, cosine, linear_beta

F64 = torch.float64


def at(schedule, t):
    t = torch.tensor(t, dtype=F64)
    return schedule.alpha(t).item(), schedule.sigma(t).item()


def show(value, digits):
    """A number to so many significant digits, as the tables print it."""
    return float(f"{value:.{digits - 1}e}")


@pytest.mark.parametrize(
    ("name", "last", "ratio", "bits"),
    [
        ("linear_beta", (4.035830e-05, 7), (157.4073, 7), (2.9113e-05, 5)),
        ("cosine", (2.428767e-09, 7), None, (1.7520e-09, 5)),
        ("scaled_linear_beta", (4.660099e-03, 7), (14.6146, 6), (3.3694e-03, 5)),
    ],
)
def test_ends_of_the_standard_chains(name, last, ratio, bits):
    schedule = SCHEDULES[name]()
    alpha, sigma = at(schedule, 1.0)
    assert show(alpha**2, last[1]) == last[0]
    if ratio:
        assert show(sigma / alpha, ratio[1]) == ratio[0]
    assert show(Gaussian(schedule).prior_bits_per_dim(), bits[1]) == bits[0]


def test_scaled_linear_chain_begins_at_its_least_noise():
    alpha, sigma = at(SCHEDULES["scaled_linear_beta"](), 1 / 1000)
    assert show(sigma / alpha, 5) == 0.029167


def test_continuous_vp_at_its_end():
    alpha, sigma = at(VP(), 1.0)
    assert show(alpha, 7) == 6.571586e-03
    assert show(sigma / alpha, 7) == 152.1670


# The last: 0.02 (1 - abar_T (1/0.98 - 1)/(1 - abar_T)) = 0.02 - 1.647344e-08. (It is sometimes quoted as 0.0199999836.)
@pytest.mark.parametrize(("index", "variance", "digits"), [(0, 0.0, 5), (487, 0.0097916, 5), (999, 0.01999998353, 10)])
def test_fixed_small_variance_of_the_linear_chain(index, variance, digits):
    t, s = (torch.tensor(i / 1000, dtype=F64) for i in (index + 1, index))
    x = torch.zeros(1, 1, dtype=F64)
    _, lower, _ = Gaussian(linear_beta()).posterior(x, x, t, s)
    assert show(lower.item(), digits) == variance


@pytest.mark.parametrize("name", ["linear_beta", "scaled_linear_beta", "cosine"])
def test_chain_is_the_product_of_its_betas(name):
    schedule = SCHEDULES[name]()
    bar = 1.0
    for i, beta in enumerate(schedule.betas, start=1):
        bar *= 1 - beta
        if i % 37 == 0 or i == 1000:
            alpha, sigma = at(schedule, i / 1000)
            # A thousand products' round-off.
            assert alpha == pytest.approx(math.sqrt(bar), rel=1e-11)
            assert sigma == pytest.approx(math.sqrt(1 - bar), rel=1e-11)


def test_linear_chain_tends_to_the_continuous_vp():
    """beta_i = beta(i/T)/T: the chains of T steps approach the SDE with an error that falls as 1/T."""
    t = torch.linspace(0, 1, 51, dtype=F64)
    errors = []
    for num_steps in (1000, 2000, 4000):
        chain = linear_beta(num_steps=num_steps, beta_min=0.1 / num_steps, beta_max=20 / num_steps)
        errors.append((chain.alpha(t) - VP().alpha(t)).abs().max().item())
    assert errors[0] < 5e-3
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(2, rel=0.02)


def test_cosine_betas_follow_the_formula():
    def bar(t):
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = cosine().betas
    for i in (1, 2, 500, 998, 1000):
        # The formula itself cancels at small beta, to about eps/beta = 1e-11.
        assert betas[i - 1] == pytest.approx(min(1 - bar(i / 1000) / bar((i - 1) / 1000), 0.999), rel=1e-10)


def test_sde_rates_in_closed_form():
    t = torch.tensor([0.0, 0.2, 0.7, 1.0], dtype=F64)
    beta = 0.1 + t * 19.9
    for schedule in (VP(), SubVP()):
        torch.testing.assert_close(schedule.drift(t), -0.5 * beta, rtol=1e-13, atol=0)
    torch.testing.assert_close(VP().diffusion(t), beta.sqrt(), rtol=1e-13, atol=0)
    # Sub-VP: g^2 = beta (1 - exp(-2 int beta)) (Song et al. 2021, section 3.4).
    lost = -torch.expm1(-2 * (0.1 * t + 19.9 * t**2 / 2))
    torch.testing.assert_close(SubVP().diffusion(t), (beta * lost).sqrt(), rtol=1e-7, atol=1e-12)
    # VE: g = sigma_min (sigma_max/sigma_min)^t sqrt(2 log(sigma_max/sigma_min)).
    expected = 0.01 * 5000**t * math.sqrt(2 * math.log(5000))
    torch.testing.assert_close(VE().diffusion(t), expected, rtol=1e-12, atol=0)
    # A straight path: f = -(1 - a)/alpha, g^2 = 2 t (1 + t (1 - a)/alpha).
    fall = 1 - 1e-3
    alpha = 1 - t * fall
    torch.testing.assert_close(Rectified().drift(t), -fall / alpha, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        Rectified().diffusion(t).square(), 2 * t * (1 + t * fall / alpha), rtol=1e-12, atol=1e-15
    )


def test_rates_work_without_gradients():
    with torch.no_grad():
        assert VP().drift(torch.tensor(0.5)).item() == pytest.approx(-0.5 * (0.1 + 0.5 * 19.9))


def test_sigmoid_is_the_papers_formula():
    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    for start, end, temperature in [(-3, 3, 1.0), (0, 3, 0.7)]:
        schedule = Sigmoid(start, end, temperature)
        high, low = sigmoid(end / temperature), sigmoid(start / temperature)
        for t in (0.1, 0.5, 0.9):
            gamma = (high - sigmoid((t * (end - start) + start) / temperature)) / (high - low)
            assert at(schedule, t)[0] ** 2 == pytest.approx(gamma * (1 - 1e-7) + 1e-7, rel=1e-12)
        assert at(schedule, 1.0)[0] ** 2 == pytest.approx(1e-7, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Betas(()), "betas is empty"),
        (lambda: Betas((0.1, 1.0)), r"betas\[1\] = 1.0"),
        (lambda: Betas((0.0,)), r"betas\[0\] = 0.0"),
        (lambda: Betas((math.nan,)), "strictly between 0 and 1"),
        (lambda: VP(beta_min=-1), "beta_min must be a positive number, got -1"),
        (lambda: SubVP(beta_max=math.inf), "beta_max must be a positive number, got inf"),
        (lambda: VE(sigma_min=2, sigma_max=1), "must lie below"),
        (lambda: EDM(rho=0), "rho must be a positive number"),
        (lambda: Rectified(alpha_min=1.0), "alpha_min must lie below 1"),
        (lambda: Sigmoid(start=1, end=1), "start must lie below end"),
        (lambda: Sigmoid(floor=1.5), "floor must lie below 1"),
        (lambda: linear_beta(num_steps=1), "at least 2, got 1"),
    ],
)
def test_mistakes_are_told(make, message):
    with pytest.raises(UserError, match=message):
        make()
