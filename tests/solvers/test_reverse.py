"""Solvers of reverse SDEs that know no kernel: against exact laws on matrices, and for SDEs that are not affine."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.metrics.transport import sliced_wasserstein
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.matrix import MatrixGaussian
from pellucid.processes.paths import simulate
from pellucid.processes.schedules import VP
from pellucid.processes.sde import SDE, ScheduleSDE
from pellucid.solvers import Ancestral, sample
from pellucid.solvers.reverse import FlowHeun, ReverseEuler, ReverseHeun, dynamics, reverse

F64 = torch.float64
A = torch.tensor([[-2.0, 1.5], [-0.7, -3.0]], dtype=F64)
G = torch.tensor([[2.0, 0.6], [0.6, 1.5]], dtype=F64)
DATA = torch.tensor([[0.8, 0.3], [0.3, 0.5]], dtype=F64)


class NormalData:
    """The exact denoiser of N(0, DATA) under any matrix process."""

    def __init__(self) -> None:
        sde = SDE(lambda x, t: (1 + t) * (x @ A.T), lambda t: (1 + t) * G, (2,))
        self.process = MatrixGaussian(sde, covariance=DATA)

    def __call__(self, x, t):
        moments = self.process.sde.kernel.moments(t)
        phi, covariance = moments.phi[..., 0, :, :], moments.covariance[..., 0, :, :]
        total = phi @ DATA @ phi.mT + covariance
        return x @ torch.linalg.solve(total, phi @ DATA)


def moments_after(solver, num_steps, last):
    """Mean map and covariance of the state at `last`, exactly: the solver is affine in the state and the noise."""
    denoiser = NormalData()
    times = torch.linspace(1, last, num_steps + 1, dtype=F64)
    prior = denoiser.process.prior(torch.eye(2, dtype=F64))
    covariance = prior.T @ prior
    units, zero = torch.eye(2, dtype=F64), torch.zeros(2, 2, dtype=F64)
    for t, s in itertools.pairwise(times):
        gain, _ = solver(denoiser, units, t, s, zero[None], None)
        root, _ = solver(denoiser, zero, t, s, units[None], None) if solver.draws else (zero, None)
        covariance = gain.T @ covariance @ gain + root.T @ root
    return covariance


def exact_covariance(last):
    moments = NormalData().process.sde.kernel.moments(torch.tensor(last, dtype=F64))
    phi, covariance = moments.phi[0], moments.covariance[0]
    return phi @ DATA @ phi.T + covariance


@pytest.mark.parametrize("solver", [ReverseEuler(), ReverseHeun(), FlowHeun()], ids=lambda s: type(s).__name__)
def test_order_on_a_matrix_process(solver):
    """From the exact law at t = 1, the covariance at t = 0.05 tends to the exact one at the stated order."""
    exact = exact_covariance(0.05)
    errors = [float((moments_after(solver, n, 0.05) - exact).abs().max()) for n in (60, 120, 240)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders[-1] == pytest.approx(solver.order, abs=0.15)
    assert orders[-2] == pytest.approx(solver.order, abs=0.25)


@pytest.mark.parametrize("solver", [Ancestral(), ReverseHeun(), FlowHeun()], ids=lambda s: type(s).__name__)
def test_samples_reach_the_data_of_a_matrix_process(solver):
    denoiser = NormalData()
    size = 3000
    stream = Stream.of(0, range(size))
    x = denoiser.process.prior(denoiser.process.draw(stream, (2,), step=0)[0, 0].double())
    times = torch.linspace(1, 0, 41, dtype=F64) ** 2
    found = sample(denoiser, x, times, solver, stream=stream)
    # Five standard errors of the means, and of the covariances plus a bias of the steps of one per cent.
    assert (found.mean(0).abs() < 5 * (DATA.diagonal() / size).sqrt()).all()
    assert ((found.T.cov() - DATA).abs() < 5 * 0.8 * math.sqrt(2 / size) + 0.01).all()


def test_on_a_schedule_the_reverse_sde_is_song_et_als():
    process = Gaussian(VP())
    oracle = MixtureOracle(process, torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=F64), torch.tensor([0.1, 0.2]))
    x = torch.randn(5, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor(0.4, dtype=F64)
    beta = 0.1 + 19.9 * 0.4
    back = reverse(oracle)
    torch.testing.assert_close(back.rate(x, t), -0.5 * beta * x - beta * oracle.score(x, t))
    torch.testing.assert_close(back.flow(x, t), -0.5 * beta * x - 0.5 * beta * oracle.score(x, t))
    # One step of the reverse-diffusion kind, at a fixed noise.
    s, noise = torch.tensor(0.39, dtype=F64), torch.ones(1, 5, 2, dtype=F64)
    stepped, _ = ReverseEuler()(oracle, x, t, s, noise, None)
    torch.testing.assert_close(stepped, x - 0.01 * back.rate(x, t) + 0.1 * math.sqrt(beta))
    assert isinstance(dynamics(process), ScheduleSDE)


class WellScore:
    """The score of dx = f dt + g dw started in its own stationary law p ~ exp(-2 V/g^2): the same at all times."""

    def __init__(self, process, score) -> None:
        self.process, self._score = process, score

    def __call__(self, x, t):
        raise AssertionError("only the score is to be asked")

    def score(self, x, t, **cond):
        return self._score(x)


def test_a_stationary_law_in_two_wells_stays_under_the_exact_score():
    """f = -V' with V = 2 x^4 - 2 x^2, g = 1.4: reversing it from exact draws of its law gives draws of the same law."""
    g2 = 1.4**2

    def drift(x, t):
        return -(8 * x**3 - 4 * x)

    sde = SDE(drift, lambda t: math.sqrt(g2), (1,))
    assert sde.structure == "nonlinear"
    # Exact quantiles of the law on a fine table.
    grid = torch.linspace(-2.5, 2.5, 20001, dtype=F64)
    density = torch.exp(-2 * (2 * grid**4 - 2 * grid**2) / g2)
    quantile = density.cumsum(0) / density.sum()

    def draws(size, seed):
        u = Stream.of(seed, range(size)).uniform((1,), step=0)[0, 0].double()
        return grid[torch.searchsorted(quantile, u).clamp_max(20000)]

    size = 3000
    denoiser = WellScore(simulate(sde, draws(500, 9), num_steps=20), lambda x: 2 * drift(x, None) / g2)
    floor = sum(sliced_wasserstein(draws(size, 2 * i), draws(size, 2 * i + 1)) for i in range(6)) / 6
    times = torch.linspace(1, 0, 101, dtype=F64)
    found = {
        solver: sample(denoiser, draws(size, 50), times, solver, stream=Stream.of(1, range(size)))
        for solver in (ReverseHeun(), FlowHeun())
    }
    for x in found.values():
        assert sliced_wasserstein(x, draws(size, 77)) < 2 * floor
    # The flow of a stationary law stands still: f = g^2/2 score.
    torch.testing.assert_close(found[FlowHeun()], draws(size, 50), rtol=0, atol=1e-12)


def test_refuses_a_process_without_an_sde():
    class Odd:
        process = object()

        def __call__(self, x, t):
            return x

    with pytest.raises(UserError, match="object is not the process of an SDE"):
        reverse(Odd())
