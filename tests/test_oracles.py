"""The exact denoisers against other routes to the same law: Tweedie's formula, torch's distributions, numerical
convolution, brute force, rotations."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.oracles import MixtureOracle, finite_oracle, gaussian_oracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES

F64 = torch.float64
PROCESS = Gaussian(SCHEDULES["vp"]())
RECTIFIED = Gaussian(SCHEDULES["rectified"]())


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def scalar(value):
    return torch.tensor(value, dtype=F64)


def rotations(count, size, seed=1):
    return torch.linalg.qr(randn(count, size, size, seed=seed))[0]


def make(kind, process=PROCESS):
    means, weights = randn(3, 4, seed=2), torch.tensor([1.0, 3.0, 2.0], dtype=F64)
    labels = torch.tensor([0, 1, 0])
    isotropic, axes = torch.tensor([0.3, 0.1, 0.6], dtype=F64), 0.05 + randn(3, 4, seed=3).square()
    return {
        "isotropic": MixtureOracle(process, means, isotropic, weights, labels=labels),
        "diagonal": MixtureOracle(process, means, axes, weights, labels=labels),
        "full": MixtureOracle(process, means, axes, weights, rotations(3, 4), labels),
        "points": MixtureOracle(process, means, torch.zeros(3, dtype=F64), weights, labels=labels),
        "image": MixtureOracle(process, means.reshape(3, 1, 2, 2), isotropic, weights, labels=labels),
    }[kind]


KINDS = ("isotropic", "diagonal", "full", "points", "image")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("process", [PROCESS, RECTIFIED])
@pytest.mark.parametrize("label", [None, [0, 1, -1, 1, 0]])
def test_denoiser_is_tweedies_formula_of_the_density(kind, process, label):
    """E[x_0 given x_t] = (x_t + sigma^2 grad log p_t)/alpha, the gradient by autograd."""
    oracle = make(kind, process)
    cond = {} if label is None else {"label": torch.tensor(label)}
    x = randn(5, *oracle.means.shape[1:], seed=4).requires_grad_()
    t = torch.tensor([0.05, 0.2, 0.5, 0.8, 0.99], dtype=F64)
    score = torch.autograd.grad(oracle.log_prob(x, t, **cond).sum(), x)[0]
    alpha, sigma = process.scales(t, x)
    # Magnified by sigma^2/alpha, at most 1e2 here.
    torch.testing.assert_close(oracle(x, t, **cond), (x + sigma**2 * score) / alpha, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(oracle.score(x, t, **cond), score, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["isotropic", "diagonal", "full"])
@pytest.mark.parametrize("when", [0.0, 0.3, 1.0])
def test_density_is_torchs(kind, when):
    oracle = make(kind)
    alpha, sigma = PROCESS.schedule.alpha(scalar(when)), PROCESS.schedule.sigma(scalar(when))
    axes = oracle.variances if oracle.variances.ndim == 2 else oracle.variances[:, None].expand(3, 4)
    bases = torch.eye(4, dtype=F64).expand(3, 4, 4) if oracle.bases is None else oracle.bases
    covariances = bases @ torch.diag_embed(alpha**2 * axes + sigma**2) @ bases.mT
    law = MixtureSameFamily(Categorical(oracle.weights), MultivariateNormal(alpha * oracle.means, covariances))
    x = randn(7, 4, seed=5)
    torch.testing.assert_close(oracle.log_prob(x, when), law.log_prob(x), rtol=1e-11, atol=1e-11)


def test_density_is_the_convolution():
    """p_t(x) = int p_0(y) N(x; alpha y, sigma^2) dy on a fine grid, in one dimension."""
    means, variances = torch.tensor([[-1.0], [0.5]], dtype=F64), torch.tensor([0.04, 0.25], dtype=F64)
    oracle = MixtureOracle(PROCESS, means, variances, torch.tensor([0.4, 0.6], dtype=F64))
    y = torch.linspace(-8, 8, 40_001, dtype=F64)
    start = MixtureSameFamily(
        Categorical(oracle.weights), Independent(Normal(means, variances.sqrt()[:, None]), 1)
    ).log_prob(y[:, None])
    x = torch.linspace(-2, 2, 9, dtype=F64)
    for when in (0.1, 0.5, 0.9):
        alpha, sigma = PROCESS.schedule.alpha(scalar(when)), PROCESS.schedule.sigma(scalar(when))
        joint = (start + Normal(alpha * y, sigma).log_prob(x[:, None])).exp()
        density = torch.trapezoid(joint, y)
        mean = torch.trapezoid(joint * y, y) / density
        # The trapezoid rule on smooth functions that vanish at the ends is exact to round-off.
        torch.testing.assert_close(oracle.log_prob(x[:, None], when), density.log(), rtol=0, atol=1e-10)
        torch.testing.assert_close(oracle(x[:, None], scalar(when))[:, 0], mean, rtol=0, atol=1e-10)


def test_rotated_axes_rotate_the_answer():
    turn = rotations(1, 4, seed=6)[0]
    plain = make("diagonal")
    turned = MixtureOracle(PROCESS, plain.means @ turn.T, plain.variances, plain.weights, turn.expand(3, 4, 4))
    x, t = randn(6, 4, seed=7), scalar(0.4)
    torch.testing.assert_close(turned(x @ turn.T, t), plain(x, t) @ turn.T, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(turned.log_prob(x @ turn.T, t), plain.log_prob(x, t), rtol=1e-12, atol=1e-12)


def test_forms_of_one_law_agree():
    """An isotropic component written as a number, along the axes, or along turned axes is one law."""
    plain = make("isotropic")
    axes = plain.variances[:, None].expand(3, 4).contiguous()
    x, t = randn(6, 4, seed=8), torch.linspace(0.1, 0.9, 6, dtype=F64)
    for bases in (None, rotations(3, 4)):
        other = MixtureOracle(PROCESS, plain.means, axes, plain.weights, bases)
        torch.testing.assert_close(other(x, t), plain(x, t), rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(other.log_prob(x, t), plain.log_prob(x, t), rtol=1e-11, atol=1e-11)


def test_gaussian_with_any_covariance_is_linear_regression():
    """E[x_0 given x_t] = m + alpha C (alpha^2 C + sigma^2)^-1 (x_t - alpha m)."""
    root, mean = randn(4, 4, seed=9), randn(4, seed=10)
    x, t = randn(5, 4, seed=11), scalar(0.35)
    alpha, sigma = PROCESS.schedule.alpha(t), PROCESS.schedule.sigma(t)
    eye = torch.eye(4, dtype=F64)
    diagonal = root.diagonal().square()
    singular = root[:, :2] @ root[:, :2].T
    for given, covariance in [
        (scalar(0.7), 0.7 * eye),
        (diagonal, diagonal.diag()),
        (root @ root.T, root @ root.T),
        (singular, singular),
    ]:
        oracle = gaussian_oracle(PROCESS, mean, given)
        total = alpha**2 * covariance + sigma**2 * eye
        expected = mean + alpha * (x - alpha * mean) @ torch.linalg.solve(total, covariance)
        torch.testing.assert_close(oracle(x, t), expected, rtol=1e-10, atol=1e-11)
        law = MultivariateNormal(alpha * mean, total)
        torch.testing.assert_close(oracle.log_prob(x, t), law.log_prob(x), rtol=1e-10, atol=1e-10)


def test_standard_normal_entropy_in_bits():
    """-log2 p at |x|^2 = D is the entropy, 2.0470956 bits per dimension."""
    oracle = gaussian_oracle(PROCESS, torch.zeros(6, dtype=F64), scalar(1.0))
    bits = -oracle.log_prob(torch.ones(1, 6, dtype=F64)).item() / math.log(2) / 6
    assert round(bits, 7) == 2.0470956


def test_condition_is_the_law_of_the_components_of_the_class():
    oracle = make("full")
    keep = torch.tensor([0, 2])
    part = MixtureOracle(PROCESS, oracle.means[keep], oracle.variances[keep], oracle.weights[keep], oracle.bases[keep])
    x, t = randn(6, 4, seed=12), scalar(0.3)
    zeros = torch.zeros(6, dtype=torch.int64)
    torch.testing.assert_close(oracle(x, t, label=zeros), part(x, t), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(oracle.log_prob(x, t, label=zeros), part.log_prob(x, t), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(oracle(x, t, label=zeros - 1), oracle(x, t), rtol=1e-13, atol=1e-13)
    # Bayes: p(x) = sum_y p(y) p(x given y), with p(y) the class's weight.
    both = torch.stack([oracle.log_prob(x, t, label=zeros + y) + math.log(share) for y, share in ((0, 0.5), (1, 0.5))])
    torch.testing.assert_close(both.logsumexp(0), oracle.log_prob(x, t), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_finite_set_is_brute_force(smoothing):
    items = randn(20, 1, 3, 2, seed=13)
    oracle = finite_oracle(PROCESS, items, smoothing=smoothing)
    x, t = randn(4, 1, 3, 2, seed=14), torch.tensor([0.05, 0.3, 0.6, 1.0], dtype=F64)
    got = oracle(x, t)
    for i in range(4):
        alpha, sigma = PROCESS.schedule.alpha(t[i]), PROCESS.schedule.sigma(t[i])
        total = alpha**2 * smoothing**2 + sigma**2
        share = torch.softmax(torch.stack([-0.5 * ((x[i] - alpha * item) ** 2).sum() / total for item in items]), 0)
        gain = alpha * smoothing**2 / total
        expected = sum(p * (item + gain * (x[i] - alpha * item)) for p, item in zip(share, items, strict=True))
        torch.testing.assert_close(got[i], expected, rtol=1e-10, atol=1e-11)


def test_perfect_memoriser_returns_its_items_at_low_noise():
    items = randn(20, 6, seed=15)
    oracle = finite_oracle(PROCESS, items, labels=torch.arange(20))
    t = scalar(1e-3)
    near = PROCESS.corrupt(items, t, randn(20, 6, seed=16))
    torch.testing.assert_close(oracle(near, t), items, rtol=0, atol=1e-12)
    # Told the item, it returns that one from any noise.
    torch.testing.assert_close(oracle(randn(20, 6), scalar(1.0), label=torch.arange(20)), items, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_laws_moments(kind):
    oracle = make(kind)
    count = 40_000
    stream = Stream.of(7, range(count))
    shape = oracle.means.shape[1:]
    x = oracle.sample(stream.normal(shape, step=0)[0, 0], stream.uniform((), step=0, draw=200)[0, 0])
    assert x.shape == (count, *shape)
    x, means = x.double().flatten(1), oracle.means.flatten(1)
    share = oracle.weights / oracle.weights.sum()
    axes = oracle.variances if oracle.variances.ndim == 2 else oracle.variances[:, None].expand(3, 4)
    bases = torch.eye(4, dtype=F64).expand(3, 4, 4) if oracle.bases is None else oracle.bases
    inner = bases @ torch.diag_embed(axes) @ bases.mT
    mean = share @ means
    second = (share[:, None, None] * (inner + means[:, :, None] * means[:, None, :])).sum(0)
    # Four standard errors, those of the products measured on the sample.
    products = x[:, :, None] * x[:, None, :]
    assert ((x.mean(0) - mean).abs() < 4 * x.std(0) / math.sqrt(count)).all()
    assert ((products.mean(0) - second).abs() < 4 * products.std(0) / math.sqrt(count)).all()


def test_pick_chooses_components_by_weight():
    oracle = make("points")
    x = oracle.sample(torch.zeros(4, 4), torch.tensor([0.0, 1 / 6 + 1e-6, 4 / 6 - 1e-6, 1 - 2**-24]))
    torch.testing.assert_close(x.double(), oracle.means[[0, 1, 1, 2]], rtol=0, atol=1e-6)


def test_float32_in_float32_out():
    oracle = make("isotropic")
    x, t = randn(3, 4, seed=17).float(), torch.tensor(0.5)
    assert oracle(x, t).dtype == oracle.log_prob(x, t).dtype == torch.float32
    torch.testing.assert_close(oracle(x, t), oracle(x.double(), t.double()).float())


def test_mistakes_are_told():
    means = torch.zeros(2, 3)
    with pytest.raises(UserError, match=r"variances must have shape \(2,\) or \(2, 3\), got \(3,\)"):
        MixtureOracle(PROCESS, means, torch.ones(3))
    with pytest.raises(UserError, match="weights must be 2 positive numbers"):
        MixtureOracle(PROCESS, means, torch.ones(2), torch.tensor([1.0, 0.0]))
    with pytest.raises(UserError, match="has no labels"):
        MixtureOracle(PROCESS, means, torch.ones(2))(means, torch.tensor(0.5), label=torch.zeros(2, dtype=torch.int64))
    with pytest.raises(UserError, match=r"labels are \[0, 1\]"):
        make("isotropic")(randn(1, 4), scalar(0.5), label=torch.tensor([2]))
