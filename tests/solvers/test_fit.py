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
from pellucid.solvers.asinh import AsinhAdams
from pellucid.solvers.fit import fit
from pellucid.solvers.fitted import Fitted
from pellucid.solvers.student import Student, transcribe
from pellucid.solvers.trajectories import instructive, trajectories

F64 = torch.float64


def start(process, count, seed, size=1):
    return process.prior(Stream.of(seed, range(count)).normal((size,), step=0)[0, 0].double())


def line(process):
    means, weights = torch.tensor([[-1.0], [0.8]], dtype=F64), torch.tensor([0.35, 0.65], dtype=F64)
    return MixtureOracle(process, means, torch.tensor([0.3, 0.15], dtype=F64), weights)


@pytest.mark.parametrize("schedule", ["vp", "rectified", "edm", "cosine"])
def test_an_affine_flow_is_solved_exactly(schedule):
    # On normal data the flow is affine, so equation (1) of `fitted` can be exact: what is left is the ridge's pull,
    # 1e-5 of the usual method's error, and the trajectories' own error.
    process = Gaussian(SCHEDULES[schedule]())
    law = gaussian_oracle(process, torch.tensor([1.3], dtype=F64), torch.tensor(0.25, dtype=F64))
    path = trajectories(law, start(process, 64, 1), num_steps=300)
    solver = fit(law, path, 4, calls=0)
    fresh = start(process, 50, 2)
    end = sample(law, fresh, solver.grid, solver)
    one = torch.ones((), dtype=F64)
    alpha, sigma = process.schedule.alpha(one), process.schedule.sigma(one)
    exact = 1.3 + 0.5 * (fresh - alpha * 1.3) / (alpha**2 * 0.25 + sigma**2).sqrt()
    usual = sample(law, fresh, solver.grid, SOLVERS["asinh-adams"]())
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


def mixture():
    process = Gaussian(SCHEDULES["vp"]())
    generator = torch.Generator().manual_seed(0)
    return MixtureOracle(process, torch.randn(10, 16, generator=generator).double(), torch.full((10,), 0.1).double())


def median(end, exact):
    return (end - exact).square().mean(1).sqrt().median()


@pytest.mark.parametrize("steps", [5, 8, 12])
def test_unseen_paths_end_at_half_the_error_of_the_best_fixed_method(steps):
    law = mixture()
    solver = fit(law, trajectories(law, start(law.process, 128, 1, 16)), steps, calls=600)
    fresh = start(law.process, 300, 2, 16)
    exact = trajectories(law, fresh, num_steps=300).end
    fixed = [
        median(sample(law, fresh, GRIDS[grid](law.process.schedule, steps), SOLVERS[name]()), exact)
        for name in ("dpmpp-2m", "adams", "unipc-3", "deis", "asinh-adams")
        for grid in ("log-snr", "karras", "asinh")
    ]
    assert median(sample(law, fresh, solver.grid, solver), exact) < 0.5 * min(fixed)


def test_search_and_refinement_each_lower_the_score():
    law = mixture()
    path = trajectories(law, start(law.process, 128, 1, 16))

    def score(solver):
        errors = (sample(law, start(law.process, 128, 1, 16), solver.grid, solver) - path.end).square().mean(1)
        return (errors.log().mean() + errors.mean().log()) / 2

    scores = [score(fit(law, path, 6, calls=calls)) for calls in (0, 100, 1000)]
    assert scores[1] < scores[0] - 0.1
    assert scores[2] < scores[1] - 0.1


@pytest.mark.parametrize("steps", [2, 30])
def test_it_is_never_worse_than_the_fixed_default_on_its_own_paths(steps):
    # A ridge so heavy that it fits nothing: the default is then the best that there is.
    law = mixture()
    path = trajectories(law, start(law.process, 64, 1, 16))
    solver = fit(law, path, steps, ridge=1e9, calls=0)
    own = sample(law, start(law.process, 64, 1, 16), solver.grid, solver)
    default = sample(
        law, start(law.process, 64, 1, 16), GRIDS["asinh"](law.process.schedule, steps), SOLVERS["asinh-adams"]()
    )
    scores = [(e := (end - path.end).square().mean(1)).log().mean() + e.mean().log() for end in (own, default)]
    assert scores[0] <= scores[1] + 1e-9


@pytest.mark.parametrize(("solver", "grid"), [("adams", "log-snr"), ("unipc-3", "karras"), ("asinh-adams", "asinh")])
def test_transcribed_weights_repeat_the_solver(solver, grid):
    # Equation (1) of `fitted` with the coefficients read off is the method itself, to round-off.
    law = line(Gaussian(SCHEDULES["vp"]()))
    times = GRIDS[grid](law.process.schedule, 9)
    read = transcribe(SOLVERS[solver](), law.process, times.unbind())
    x = start(law.process, 20, 3)
    copy = sample(law, x, times, Fitted(tuple(times.tolist()), tuple(read)))
    torch.testing.assert_close(copy, sample(law, x, times, SOLVERS[solver]()), rtol=1e-9, atol=1e-9)


def test_a_walk_from_the_middle_is_the_walk_from_the_start():
    law = mixture()
    student = Student(law, trajectories(law, start(law.process, 32, 1, 16)), order=4, ridge=1e-3)
    stops = student.path.log_noise[::16].tolist()
    bent = [*stops[:3], stops[3] - 0.1, *stops[4:]]
    whole, made = student.walk(bent), student.calls
    again = student.walk(bent, student.walk(stops), 2)
    assert again.weights == whole.weights
    # Stop 3 is where step 2 ends: the calls at stops 0 to 2 serve again.
    assert student.calls - made == len(stops) + len(stops) - 3
    torch.testing.assert_close(student.replay(again, again.weights, 2).states[-1], again.states[-1], rtol=0, atol=0)


def test_a_heavy_ridge_gives_the_usual_method():
    law = line(Gaussian(SCHEDULES["vp"]()))
    solver = fit(law, trajectories(law, start(law.process, 64, 1)), 6, order=3, ridge=1e9, calls=0)
    fresh = start(law.process, 20, 2)
    usual = sample(law, fresh, solver.grid, AsinhAdams(steps=2))
    torch.testing.assert_close(sample(law, fresh, solver.grid, solver), usual, rtol=1e-8, atol=1e-8)


def test_instructive_starts_are_the_hardest():
    law = mixture()
    candidates = start(law.process, 200, 1, 16)
    chosen = instructive(law, candidates, 60)
    assert chosen[:30].tolist() == list(range(30))
    assert len(set(chosen.tolist())) == 60
    coarse = sample(law, candidates, GRIDS["asinh"](law.process.schedule, 10), SOLVERS["asinh-adams"]())
    errors = (coarse - trajectories(law, candidates).end).square().mean(1)
    rest = [i for i in range(200) if i not in set(chosen.tolist())]
    # Chosen by another estimate of the same error: not every one, but as a whole.
    assert errors[chosen[30:]].mean() > 10 * errors[rest].mean()


@pytest.mark.parametrize(("steps", "order", "told"), [(1, 4, "at least 2"), (4, 0, "1 to 5"), (4, 6, "1 to 5")])
def test_what_cannot_be_fitted_is_refused(steps, order, told):
    law = mixture()
    with pytest.raises(UserError, match=told):
        fit(law, trajectories(law, start(law.process, 4, 1, 16)), steps, order=order)


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
