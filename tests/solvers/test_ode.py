"""ODE steps against the exact solution, and against the method written in its own coordinates."""

from __future__ import annotations

import pytest
import torch

from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.solvers import DPMpp2M, Euler, Heun, sample

F64 = torch.float64
NAMES = sorted(set(SCHEDULES) - {"betas"})


def setup(name):
    process = Gaussian(SCHEDULES[name]())
    denoiser = MixtureOracle(process, torch.tensor([[-1.0, 0.5], [1.0, 0.0]]), torch.tensor([0.2, 0.3]))
    noise = torch.tensor([5.0, 2.0, 0.7, 0.2], dtype=F64)
    x = torch.randn(4, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    return process, denoiser, noise, process.schedule.time(-2 * noise.log()), x


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMpp2M()])
def test_methods_in_their_own_coordinates(name, solver):
    """y = x/alpha moves by Euler's or Heun's rule in rho = sigma/alpha; DPM-Solver++(2M) by its published recursion
    (Lu et al. 2022, algorithm 2): written out here with no alpha but that of the coordinates."""
    process, denoiser, rho, times, x = setup(name)
    alpha = process.schedule.alpha(times)

    def x0(y, i):
        return denoiser(alpha[i] * y, times[i])

    y = x / alpha[0]
    before = None
    for i in range(3):
        slope = (y - x0(y, i)) / rho[i]
        if isinstance(solver, DPMpp2M):
            now, h = x0(y, i), (rho[i] / rho[i + 1]).log()
            guess = now
            if before is not None:
                r = (rho[i - 1] / rho[i]).log() / h
                guess = (1 + 1 / (2 * r)) * now - 1 / (2 * r) * before
            before = now
            y = rho[i + 1] / rho[i] * y + (1 - torch.exp(-h)) * guess
        else:
            ahead = y + (rho[i + 1] - rho[i]) * slope
            if isinstance(solver, Heun):
                end = (ahead - x0(ahead, i + 1)) / rho[i + 1]
                ahead = y + (rho[i + 1] - rho[i]) * (slope + end) / 2
            y = ahead
    torch.testing.assert_close(sample(denoiser, x, times, solver), y * alpha[3], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMpp2M()])
def test_a_step_to_the_data_is_the_denoised_estimate(name, solver):
    _, denoiser, _, times, x = setup(name)
    end, _ = solver(denoiser, x, times[3], torch.zeros((), dtype=F64), torch.empty(0, 4, 2), None)
    torch.testing.assert_close(end, denoiser(x, times[3]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMpp2M()])
@pytest.mark.parametrize("name", NAMES)
def test_data_at_a_point_is_solved_exactly(name, solver):
    """For data at one point the flow is a straight line in (y, rho): every method is exact at any step, to t = 0."""
    process, _, _, times, x = setup(name)
    point = torch.tensor([0.3, -0.4], dtype=F64)

    class Point:
        def __init__(self):
            self.process = process

        def __call__(self, x, t):
            return point.expand_as(x)

    end = sample(Point(), x, torch.cat([times[:2], torch.zeros(1, dtype=F64)]), solver)
    torch.testing.assert_close(end, point.expand(4, 2), rtol=1e-13, atol=1e-13)
    alpha, sigma = process.schedule.alpha(times), process.schedule.sigma(times)
    line = alpha[2] * point + sigma[2] / sigma[0] * (x - alpha[0] * point)
    torch.testing.assert_close(sample(Point(), x, times[[0, 2]], solver), line, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMpp2M()])
def test_float32_follows_float64(solver):
    """Over 40 steps to t = 0 on a mixture: each step adds a round-off of a few eps of values below 2 (at alpha = 1)."""
    process, denoiser, _, _, x = setup("vp")
    times = process.schedule.time(-2 * torch.linspace(4.0, -5.0, 40, dtype=F64))
    times = torch.cat([times, torch.zeros(1, dtype=F64)])
    wide, narrow = (sample(denoiser, start, times, solver) for start in (x, x.float()))
    # The flow of this mixture stretches differences by at most about 10.
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=10 * 40 * 1.2e-7)


@pytest.mark.parametrize(("solver", "calls"), [(Euler(), 6), (Heun(), 11), (DPMpp2M(), 6)])
def test_calls_of_the_denoiser_are_what_is_claimed(solver, calls):
    _, denoiser, _, _, x = setup("vp")
    seen = []

    class Counting:
        process = denoiser.process

        def __call__(self, x, t):
            seen.append(1)
            return denoiser(x, t)

    sample(Counting(), x, torch.linspace(1, 0, 7, dtype=F64), solver)
    assert len(seen) == calls
    assert calls == 6 * solver.evaluations - (solver.evaluations - 1)
