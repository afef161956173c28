"""Fitted solvers: exact where they can be, far better than any fixed method where they cannot."""

from __future__ import annotations

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.oracles import MixtureOracle, gaussian_oracle, quantile
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.processes.times import GRIDS
from pellucid.solvers import SOLVERS, sample
from pellucid.solvers.fit import fit, trajectories
from pellucid.solvers.fitted import Fitted

F64 = torch.float64


def start(process, count, seed, size=1):
    return process.prior(Stream.of(seed, range(count)).normal((size,), step=0)[0, 0].double())


def line(process):
    means, weights = torch.tensor([[-1.0], [0.8]], dtype=F64), torch.tensor([0.35, 0.65], dtype=F64)
    return MixtureOracle(process, means, torch.tensor([0.3, 0.15], dtype=F64), weights)


@pytest.mark.parametrize("schedule", ["vp", "rectified", "edm", "cosine"])
def test_an_affine_flow_is_solved_exactly(schedule):
    # On normal data the flow is affine, so equation (1) of `fitted` can be exact: what is left is the ridge's pull,
    # 1e-6 of the Adams error, and the trajectories' own error.
    process = Gaussian(SCHEDULES[schedule]())
    law = gaussian_oracle(process, torch.tensor([1.3], dtype=F64), torch.tensor(0.25, dtype=F64))
    path = trajectories(law, start(process, 64, 1), num_steps=300)
    solver = fit(law, path, 4, rounds=0)
    fresh = start(process, 50, 2)
    end = sample(law, fresh, solver.grid, solver)
    one = torch.ones((), dtype=F64)
    alpha, sigma = process.schedule.alpha(one), process.schedule.sigma(one)
    exact = 1.3 + 0.5 * (fresh - alpha * 1.3) / (alpha**2 * 0.25 + sigma**2).sqrt()
    usual = sample(law, fresh, solver.grid, SOLVERS["adams"]())
    assert (end - exact).abs().max() < 2e-3
    assert (end - exact).abs().max() < 0.05 * (usual - exact).abs().max()


def test_trajectories_are_the_exact_flow_between_their_stops():
    process = Gaussian(SCHEDULES["vp"]())
    law = line(process)
    u = torch.linspace(0.05, 0.95, 9, dtype=F64)[:, None]
    one = torch.ones((), dtype=F64)
    path = trajectories(law, quantile(law, u, one), num_steps=300)
    for log_noise in (3.2, 0.7, -0.3, -2.4):
        t = process.schedule.time(torch.tensor(-2 * log_noise, dtype=F64))
        # Fourth order at 300 steps, and a cubic between stops of width 0.04.
        torch.testing.assert_close(path.at(log_noise), quantile(law, u, t), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(path.end, quantile(law, u, torch.zeros((), dtype=F64)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("steps", [5, 8, 12])
def test_unseen_paths_end_at_half_the_error_of_the_best_fixed_method(steps):
    process = Gaussian(SCHEDULES["vp"]())
    generator = torch.Generator().manual_seed(0)
    law = MixtureOracle(process, torch.randn(10, 16, generator=generator).double(), torch.full((10,), 0.1).double())
    solver = fit(law, trajectories(law, start(process, 128, 1, 16)), steps)
    fresh = start(process, 300, 2, 16)
    exact = trajectories(law, fresh, num_steps=300).end

    def median(end):
        return (end - exact).square().mean(1).sqrt().median()

    fixed = [
        median(sample(law, fresh, GRIDS[grid](process.schedule, steps), SOLVERS[name]()))
        for name in ("dpmpp-2m", "adams", "unipc-3", "deis")
        for grid in ("log-snr", "karras")
    ]
    assert median(sample(law, fresh, solver.grid, solver)) < 0.5 * min(fixed)


def test_a_heavy_ridge_gives_the_adams_method():
    process = Gaussian(SCHEDULES["vp"]())
    law = line(process)
    path = trajectories(law, start(process, 64, 1))
    solver = fit(law, path, 6, order=3, ridge=1e9, rounds=0)
    fresh = start(process, 20, 2)
    adams = sample(law, fresh, solver.grid, SOLVERS["adams"](order=3))
    torch.testing.assert_close(sample(law, fresh, solver.grid, solver), adams, rtol=1e-8, atol=1e-8)


def test_json_round_trip():
    solver = Fitted((1.0, 0.25, 0.0), ((0.1, 0.9), (0.0, 1.1, -0.1)))
    assert Fitted.from_json(solver.to_json()) == solver


@pytest.mark.parametrize(
    ("times", "weights"),
    [((1.0, 0.5), ((1.0, 0.0), (1.0, 0.0))), ((0.5, 1.0), ((1.0, 0.0),)), ((1.0, 0.0), ((1.0,),))],
)
def test_weights_that_do_not_fit_are_refused(times, weights):
    with pytest.raises(UserError, match="falling times and weights"):
        Fitted(times, weights)


def test_it_runs_on_its_own_grid_alone():
    process = Gaussian(SCHEDULES["vp"]())
    solver = Fitted((1.0, 0.25, 0.0), ((0.1, 0.9), (0.0, 1.1, -0.1)))
    with pytest.raises(UserError, match="no step from 1 to"):
        sample(line(process), start(process, 2, 1), torch.tensor([1.0, 0.5, 0.0]), solver)
    with pytest.raises(UserError, match="from the start"):
        sample(line(process), start(process, 2, 1), torch.tensor([0.25, 0.0]), solver)
