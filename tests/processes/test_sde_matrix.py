"""Matrix processes: the scalar case against the Gaussian process, and the rest against brute-force normal laws."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.denoisers import score_from_x0
from pellucid.foundations.errors import UserError
from pellucid.processes.checks import check_prior
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.matrix import MatrixGaussian
from pellucid.processes.schedules import EDM, VE, VP, Betas, Rectified, linear_beta, scaled_linear_beta
from pellucid.processes.sde import SDE
from pellucid.processes.weightings import EDM as EDMWeighting

F64 = torch.float64
A = torch.tensor([[-3.0, 1.5], [-0.7, -4.0]], dtype=F64)
G = torch.tensor([[2.0, 0.6], [0.6, 1.5]], dtype=F64)


def scalar_vp(shape=(3,)):
    return SDE(lambda x, t: -0.5 * (0.1 + 19.9 * t) * x, lambda t: (0.1 + 19.9 * t).sqrt(), shape)


def turning():
    return MatrixGaussian(SDE(lambda x, t: (1 + t) * (x @ A.T) + 0.3, lambda t: (1 + t) * G, (2,)))


def langevin(gamma=0.04):
    def drift(x, t):
        q, v = x.unbind(1)
        return 4 * torch.stack([4 * v, -q - 4 * v], 1)

    def diffusion(t):
        return math.sqrt(8) * torch.diag(torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=F64))

    hidden = torch.tensor([[0.0, 0.0], [gamma / 4, gamma / 4]], dtype=F64)
    return MatrixGaussian(SDE(drift, diffusion, (2, 2)), hidden=hidden)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def joint(process, x0, times, size):
    """Mean and covariance of the states at several rising times given x_0, by sending unit noises through corrupt (at
    the first time) and renoise: (T, D) and (T, T, D, D)."""
    shape = process.sde.shape
    units = torch.eye(size, dtype=F64).reshape(size, *shape)
    zero = torch.zeros(1, *shape, dtype=F64)

    def go(inputs):
        states = [process.corrupt(x0.expand(inputs[0].shape), times[0], inputs[0])]
        for s, t, noise in zip(times[:-1], times[1:], inputs[1:], strict=True):
            states.append(process.renoise(states[-1], s, t, noise))
        return torch.stack([state.flatten(1) for state in states])

    mean = go([zero] * len(times))
    roots = []
    for i in range(len(times)):
        inputs = [units if i == j else torch.zeros_like(units) for j in range(len(times))]
        roots.append(go(inputs) - mean)  # (T, D noises, D)
    root = torch.cat(roots, 1)
    return mean[:, 0], torch.einsum("and,bne->abde", root, root)


def test_a_scalar_sde_gives_the_gaussian_process():
    mine, other = MatrixGaussian(scalar_vp()), Gaussian(VP(), EDMWeighting(1.0))
    x, x0, noise = normal(5, 3), normal(5, 3, seed=1), normal(5, 3, seed=2)
    t = torch.tensor([0.01, 0.2, 0.5, 0.9, 1.0], dtype=F64)
    s = 0.6 * t
    pairs = [
        (mine.corrupt(x0, t, noise), other.corrupt(x0, t, noise)),
        (mine.bridge(x, x0, t, s, noise), other.bridge(x, x0, t, s, noise)),
        (mine.bridge(x, x0, t[1], s[1], noise), other.bridge(x, x0, t[1], s[1], noise)),
        (mine.renoise(x, s, t, noise), other.renoise(x, s, t, noise)),
        (mine.prior(noise), other.prior(noise)),
        (mine.loss(x, x0, t), other.loss(x, x0, t)),
        (mine.score(x, x0, t), score_from_x0(other, x, x0, t)),
    ]
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(mine.prior_kl(x0), other.prior_kl(x0), rtol=1e-9, atol=1e-14)
    assert mine.prior_bits_per_dim(0.5) == pytest.approx(other.prior_bits_per_dim(0.5), rel=1e-9)
    assert float(mine.noise_level(t[2])) == pytest.approx(float(-other.schedule.log_snr(t[2]) / 8), abs=1e-10)


@pytest.mark.parametrize("make", [turning, langevin])
def test_transitions_compose_to_the_kernel(make):
    process = make()
    size = process.sde.size
    x0 = normal(1, *process.sde.shape)
    if process.hidden is not None:
        x0 = process.augment(process.project(x0))
    times = [torch.tensor(t, dtype=F64) for t in (0.05, 0.2, 0.7)]
    mean, covariance = joint(process, x0, times, size)
    for i, t in enumerate(times):
        centre = process.corrupt(x0, t, torch.zeros_like(x0)).flatten()
        units = torch.eye(size, dtype=F64).reshape(size, *process.sde.shape)
        root = process.corrupt(x0.expand_as(units), t, units).flatten(1) - centre
        torch.testing.assert_close(mean[i], centre, rtol=0, atol=1e-11)
        torch.testing.assert_close(covariance[i, i], root.T @ root, rtol=0, atol=1e-11)


@pytest.mark.parametrize("make", [turning, langevin])
def test_bridge_is_the_conditional_of_the_joint_law(make):
    process = make()
    size, shape = process.sde.size, process.sde.shape
    x0 = normal(1, *shape)
    if process.hidden is not None:
        x0 = process.augment(process.project(x0))
    s, t = (torch.tensor(u, dtype=F64) for u in (0.15, 0.4))
    mean, covariance = joint(process, x0, [s, t], size)
    x = normal(1, *shape, seed=5)
    gain = torch.linalg.solve(covariance[1, 1], covariance[1, 0]).T
    expected = mean[0] + gain @ (x.flatten() - mean[1])
    spread = covariance[0, 0] - gain @ covariance[1, 0]
    zero = torch.zeros_like(x)
    centre = process.bridge(x, x0, t, s, zero).flatten()
    units = torch.eye(size, dtype=F64).reshape(size, *shape)
    root = process.bridge(x.expand_as(units), x0.expand_as(units), t, s, units).flatten(1) - centre
    torch.testing.assert_close(centre, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(root.T @ root, spread, rtol=0, atol=1e-10)


def test_time_zero_is_the_data():
    zero, t = torch.zeros((), dtype=F64), torch.tensor(0.3, dtype=F64)
    process = turning()
    x0, x = normal(4, 2), normal(4, 2, seed=1)
    torch.testing.assert_close(process.corrupt(x0, zero, x), x0)
    torch.testing.assert_close(process.bridge(x, x0, t, zero, x), x0)
    process = langevin()
    states = process.augment(x0)
    assert torch.equal(process.project(states), x0)
    torch.testing.assert_close(process.project(process.corrupt(states, zero, normal(4, 2, 2))), x0)
    velocity = process.corrupt(states, zero, torch.ones(4, 2, 2, dtype=F64))[:, 1]
    torch.testing.assert_close(velocity, torch.full((4, 2), 0.1, dtype=F64))  # sqrt(gamma M)


@pytest.mark.parametrize("make", [turning, langevin])
def test_score_of_normal_data_is_exact(make):
    """For normal data all is known: x_t ~ N(., Phi C Phi^T + S), whose score the best affine denoiser implies."""
    process = make()
    t, size = torch.tensor(0.23, dtype=F64), process.sde.size
    phi, shift, root = (part[0] for part in process.roots(t))
    seen = (process.hidden.flatten() == 0) if process.hidden is not None else torch.ones(size, dtype=torch.bool)
    data = torch.diag(seen.double())
    total = phi @ data @ phi.T + root @ root.T
    x = normal(6, *process.sde.shape)
    away = x.flatten(1) - shift
    exact = -torch.linalg.solve(total, away.T).T
    x0 = (data @ phi.T @ torch.linalg.solve(total, away.T)).T.reshape(x.shape)
    torch.testing.assert_close(process.score(x, x0, t).flatten(1), exact, rtol=1e-9, atol=1e-9)
    # And the residual is the covariance of x_0 given x_t.
    posterior = data - data @ phi.T @ torch.linalg.solve(total, phi @ data)
    torch.testing.assert_close(process.residual(t)[0], posterior, rtol=1e-9, atol=1e-12)


def test_prior_divergence_against_torch():
    process = turning()
    x0 = normal(3, 2)
    phi, shift, root = (part[0] for part in process.roots(torch.ones((), dtype=F64)))
    prior = torch.distributions.MultivariateNormal(shift, phi @ phi.T + root @ root.T)
    end = torch.distributions.MultivariateNormal(x0 @ phi.T + shift, scale_tril=root)
    torch.testing.assert_close(
        process.prior_kl(x0), torch.distributions.kl_divergence(end, prior), rtol=1e-8, atol=1e-12
    )
    # The mean over white data: exactly by the sigma points +-sqrt(D m) e_i, whose second moment is m I.
    points = math.sqrt(2 * 0.7) * torch.cat([torch.eye(2, dtype=F64), -torch.eye(2, dtype=F64)])
    mean = process.prior_kl(points).mean().item() / 2 / math.log(2)
    assert process.prior_bits_per_dim(0.7) == pytest.approx(mean, rel=1e-8)


def test_a_chain_that_does_not_end_is_refused():
    # Known values (Ho et al.'s chain; the latent chain of Rombach et al.), in bits per value.
    assert check_prior(Gaussian(linear_beta())) == pytest.approx(2.9113e-05, rel=1e-4)
    assert check_prior(Gaussian(scaled_linear_beta())) == pytest.approx(3.3694e-03, rel=1e-4)
    with pytest.raises(UserError, match=r"0\.[0-9]+ bits/dim, and at most 0.01 .*longer chain \(num_steps is 200\)"):
        check_prior(Gaussian(linear_beta(num_steps=200)))
    forced = check_prior(Gaussian(linear_beta(num_steps=200)), force=True)
    assert forced > 0.01
    with pytest.raises(UserError, match="at most 1e-05"):
        check_prior(Gaussian(linear_beta()), limit_bits=1e-5)


@pytest.mark.parametrize(
    ("process", "remedy"),
    [
        (Gaussian(VP(beta_max=2.0)), r"larger beta_max \(it is 2\)"),
        (Gaussian(VE(sigma_max=1.0)), r"larger sigma_max \(it is 1\)"),
        (Gaussian(EDM(sigma_max=1.0)), "larger sigma_max"),
        (Gaussian(Rectified(alpha_min=0.9)), "smaller alpha_min"),
        (Gaussian(Betas((0.1, 0.1))), "longer chain"),
        (Gaussian(SDE(lambda x, t: -0.1 * x, lambda t: 0.1, (2,)).schedule), "less signal at t = 1"),
        (MatrixGaussian(SDE(lambda x, t: 0.1 * x @ A.T, lambda t: G, (2,))), "contract faster"),
    ],
)
def test_the_remedy_fits_the_process(process, remedy):
    with pytest.raises(UserError, match=remedy):
        check_prior(process)


def test_refuses_what_cannot_be():
    sde = SDE(lambda x, t: x @ A.T, lambda t: G, (2,))
    with pytest.raises(UserError, match="hidden must have the state's shape"):
        MatrixGaussian(sde, hidden=torch.zeros(3))
    with pytest.raises(UserError, match="zero where the data are"):
        MatrixGaussian(sde, hidden=torch.ones(2))
    with pytest.raises(UserError, match="covariance must have the shape"):
        MatrixGaussian(sde, covariance=torch.ones(2))
    with pytest.raises(UserError, match="without noise"):
        MatrixGaussian(SDE(lambda x, t: -x * torch.tensor([1.0, 2.0]), lambda t: torch.tensor([0.0, 1.0]), (2,)))
    with pytest.raises(UserError, match="coupled to the data"):
        MatrixGaussian(scalar_vp(), hidden=torch.tensor([0.0, 1.0, 1.0]))
    with pytest.raises(UserError, match="2 observed values, the data 3"):
        langevin().augment(torch.zeros(4, 3))
