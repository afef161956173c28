"""Networks on matrix SDEs and on simulated ones: targets by their definitions, scores by exact laws."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pellucid.denoisers import EDM, NetworkDenoiser
from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.losses import denoising_loss
from pellucid.processes.base import Process
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.matrix import MatrixGaussian
from pellucid.processes.paths import simulate
from pellucid.processes.schedules import VP
from pellucid.processes.sde import SDE
from pellucid.processes.weightings import EDM as EDMWeighting
from pellucid.sde_denoisers import MATRIX_TARGETS, MatrixDenoiser, ScoreDenoiser, score_of

F64 = torch.float64
A = torch.tensor([[-3.0, 1.5], [-0.7, -4.0]], dtype=F64)


class Answer(nn.Module):
    """Returns what it is told to, and keeps what it saw."""

    def __init__(self, output):
        super().__init__()
        self.output, self.seen = output, None

    def forward(self, x, c):
        self.seen = (x, c)
        return self.output


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def turning():
    covariance = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=F64)
    sde = SDE(lambda x, t: (1 + t) * (x @ A.T), lambda t: 2 * (1 + t), (2,))
    return MatrixGaussian(sde, mean=torch.tensor([0.5, -1.0], dtype=F64), covariance=covariance)


def langevin():
    def drift(x, t):
        q, v = x.unbind(1)
        return 4 * torch.stack([4 * v, -q - 4 * v], 1)

    def diffusion(t):
        return math.sqrt(8) * torch.diag(torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=F64))

    return MatrixGaussian(SDE(drift, diffusion, (2, 2)), hidden=torch.tensor([[0.0, 0.0], [0.01, 0.01]], dtype=F64))


@pytest.mark.parametrize("make", [turning, langevin])
@pytest.mark.parametrize("target", MATRIX_TARGETS)
def test_a_target_by_its_definition_gives_the_data_back(target, make):
    process = make()
    shape = process.sde.shape
    x0, noise = normal(5, *shape), normal(5, *shape, seed=1)
    if process.hidden is not None:
        x0 = process.augment(process.project(x0))
    t = torch.tensor([0.01, 0.05, 0.1, 0.2, 0.3], dtype=F64)
    x = process.corrupt(x0, t, noise)
    if target == "eps":
        output = noise
    elif target == "score":
        root = process.roots(t)[2][:, 0]
        output = -torch.linalg.solve(root.mT, noise.flatten(1)[..., None])[..., 0].reshape(x.shape)
    else:  # the residual of the best affine denoiser, in units of its Cholesky factor, over the observed values
        phi, shift, root = (part[:, 0] for part in process.roots(t))
        seen = (process.hidden.flatten() == 0) if process.hidden is not None else torch.ones(len(A), dtype=torch.bool)
        size = process.sde.size
        center = torch.zeros(size, dtype=F64) if process.mean is None else process.mean.flatten()
        data = torch.eye(size, dtype=F64) if process.covariance is None else process.covariance
        data = data * seen * seen[:, None]
        total = phi @ data @ phi.mT + root @ root.mT
        gain = data @ phi.mT @ torch.linalg.inv(total)
        away = x.flatten(1) - shift - (phi @ center)
        affine = center + (gain @ away[..., None])[..., 0]
        left = (data - gain @ phi @ data)[:, seen][:, :, seen]
        output = torch.zeros(5, size, dtype=F64)
        scaled = torch.linalg.solve(torch.linalg.cholesky(left), (x0.flatten(1) - affine)[:, seen, None])
        output[:, seen] = scaled[..., 0]
        output = output.reshape(x.shape)
    network = Answer(output)
    found = MatrixDenoiser(network, process, target)(x, t)
    # At t = 0.3 the kernel keeps e^-2 to e^-5 of the signal: round-off is magnified by less than 1e4.
    torch.testing.assert_close(found, x0, rtol=0, atol=1e-9)


def test_the_scalar_case_is_the_networks_of_the_gaussian_process():
    """Unit data under a scalar SDE: input, level, estimate and loss are those of the EDM target with sigma_data 1."""
    sde = SDE(lambda x, t: -0.5 * (0.1 + 19.9 * t) * x, lambda t: (0.1 + 19.9 * t).sqrt(), (3,))
    answer, other = Answer(normal(4, 3, seed=7)), Answer(normal(4, 3, seed=7))
    mine = MatrixDenoiser(answer, MatrixGaussian(sde))
    theirs = NetworkDenoiser(other, Gaussian(VP(), EDMWeighting(1.0)), EDM(1.0))
    x0, noise = normal(4, 3), normal(4, 3, seed=1)
    t = torch.tensor([0.05, 0.3, 0.6, 0.9], dtype=F64)
    a, b = (denoising_loss(d, x0, t, noise) for d in (mine, theirs))
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    for seen, expected in zip(answer.seen, other.seen, strict=True):
        torch.testing.assert_close(seen, expected, rtol=1e-9, atol=1e-9)


def test_inputs_have_unit_variance():
    process = turning()
    x0 = process.mean + normal(4000, 2) @ torch.linalg.cholesky(process.covariance).T
    network = Answer(normal(4000, 2))
    for time in (0.0, 0.01, 0.3, 1.0):
        t = torch.full((4000,), time, dtype=F64)
        MatrixDenoiser(network, process)(process.corrupt(x0, t, normal(4000, 2, seed=3)), t)
        # Five standard errors: of means 0.016, of covariances 0.022.
        assert (network.seen[0].mean(0).abs() < 0.08).all()
        assert ((network.seen[0].T.cov() - torch.eye(2, dtype=F64)).abs() < 0.11).all()
        assert network.seen[1].isfinite().all()


def test_a_hidden_part_is_never_estimated():
    process = langevin()
    for target in MATRIX_TARGETS:
        found = MatrixDenoiser(Answer(normal(3, 2, 2)), process, target)(normal(3, 2, 2), torch.full((3,), 0.2))
        assert not found[:, 1].any()


def test_a_score_network_of_zero_gives_the_moments_own_score():
    sde = SDE(lambda x, t: -x + 0.1 * x.sin(), lambda t: 1 + t, (2,))
    process = simulate(sde, normal(500, 2) @ A, num_steps=20)
    denoiser = ScoreDenoiser(Answer(torch.zeros(6, 2, dtype=F64)), process)
    x, t = normal(6, 2), torch.full((6,), 0.35, dtype=F64)  # on the table's grid
    mean, covariance = process.means[7], process.covariances[7]
    torch.testing.assert_close(denoiser.score(x, t), -torch.linalg.solve(covariance, (x - mean).T).T)
    frames = normal(3, 6, 2, seed=4)
    root = torch.linalg.cholesky(covariance)
    torch.testing.assert_close(denoiser.directions(t, frames), frames @ root.T)


def test_score_of_every_kind():
    x, x0, t = normal(4, 2), normal(4, 2, seed=1), torch.tensor(0.3, dtype=F64)

    class Plain:
        def __init__(self, process: Process) -> None:
            self.process = process

        def __call__(self, x, t):
            return x0

    gaussian, matrix = Gaussian(VP()), turning()
    alpha, sigma = gaussian.scales(t, x)
    torch.testing.assert_close(score_of(Plain(gaussian), x, t), (alpha * x0 - x) / sigma**2)
    torch.testing.assert_close(score_of(Plain(matrix), x, t), matrix.score(x, x0, t))
    simulated = simulate(SDE(lambda x, t: x.sin(), lambda t: 1.0, (2,)), normal(50, 2), num_steps=5)
    network = ScoreDenoiser(Answer(x0), simulated)
    torch.testing.assert_close(score_of(network, x, t), network.score(x, t))
    with pytest.raises(UserError, match="no score follows from Plain on SimulatedSDE"):
        score_of(Plain(simulated), x, t)


def test_gradients_reach_the_network():
    process = turning()
    network = nn.Linear(2, 2).double()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network

        def forward(self, x, c):
            return self.inner(x)

    stream = Stream.of(0, range(8))
    noise = stream.normal((2,), step=0)[0, 0].double()
    t = torch.linspace(0.1, 0.9, 8, dtype=F64)
    denoiser = MatrixDenoiser(Net(), process)

    def loss():
        return denoising_loss(denoiser, normal(8, 2), t, noise).mean()

    (slope,) = torch.autograd.grad(loss(), network.bias)
    h = 1e-6
    with torch.no_grad():
        network.bias[0] += h
        up = loss()
        network.bias[0] -= 2 * h
        down = loss()
    # The loss is quadratic in the output, so the central difference is exact up to round-off eps/h.
    assert float(slope[0]) == pytest.approx(float((up - down) / (2 * h)), abs=1e-7)
