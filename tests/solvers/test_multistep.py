"""Multistep methods: identities between them, their start, time travel, and laws that they solve exactly."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.processes.times import GRIDS, travel
from pellucid.solvers import (
    DEIS,
    ERSDE,
    SDE2,
    SOLVERS,
    Adams,
    AsinhAdams,
    DPMpp2M,
    DPMpp2MSDE,
    DPMpp3MSDE,
    Euler,
    SASolver,
    UniPC,
    sample,
)

F64 = torch.float64
PROCESS = Gaussian(SCHEDULES["vp"]())
TIMES = GRIDS["log-snr"](PROCESS.schedule, 12)


def oracle(process=PROCESS):
    return MixtureOracle(process, torch.tensor([[-1.0, 0.5], [1.0, 0.0]], dtype=F64), torch.tensor([0.2, 0.3]))


def start(count=6):
    return torch.randn(count, 2, dtype=F64, generator=torch.Generator().manual_seed(0))


def run(solver, denoiser=None, times=TIMES):
    return sample(denoiser or oracle(), start(), times, solver, stream=Stream.of(0, range(6)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Adams(order=1), Euler()),
        (DEIS(order=1), Euler()),
        (DPMpp2MSDE(eta=0.0), DPMpp2M()),
        (DPMpp3MSDE(eta=0.0), Adams(order=3)),
        (SASolver(tau=0.0, predictor=3, corrector=0), Adams(order=3)),
        (SASolver(tau=1.0, predictor=3, corrector=0), DPMpp3MSDE()),
    ],
    ids=str,
)
def test_names_for_one_method_agree(one, other):
    torch.testing.assert_close(run(one), run(other), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "solver", [Adams(3), UniPC(3), DEIS(3), AsinhAdams(), ERSDE(3), SASolver(), DPMpp2MSDE()], ids=str
)
def test_the_schedule_enters_through_the_grid_alone(solver):
    """On equal noise levels, y = x/alpha takes the same path on every schedule."""
    ends = {}
    for name in ("vp", "ve", "rectified"):
        process = Gaussian(SCHEDULES[name]())
        times = process.schedule.time(-2 * torch.linspace(math.log(20), math.log(0.05), 10, dtype=F64))
        x = process.schedule.alpha(times[0]) * 20 * start()
        end = sample(oracle(process), x, times, solver, stream=Stream.of(0, range(6)))
        ends[name] = end / process.schedule.alpha(times[-1])
    for name in ("ve", "rectified"):
        torch.testing.assert_close(ends[name], ends["vp"], rtol=1e-9, atol=1e-9)


class Remembered:
    """A denoiser whose x_0 depends on the time alone, as a given function of rho."""

    def __init__(self, function):
        self.process, self.function = Gaussian(SCHEDULES["ve"]()), function

    def __call__(self, x, t):
        return torch.full_like(x, self.function(self.process.schedule.sigma(t).item()))


STOPS = [3.0, 2.0, 1.5, 0.6, 0.4]


def walk(solver, denoiser, x, stops):
    """The states at each of the noise levels."""
    states = [x]
    times = denoiser.process.schedule.time(-2 * torch.tensor(stops, dtype=F64).log())
    sample(denoiser, x, times, solver, callback=lambda i, t, s, x: states.append(x))
    return states


def exact_flow(denoiser, x, high, low):
    stops = torch.linspace(math.log(high), math.log(low), 65, dtype=F64).exp().tolist()
    return walk(SOLVERS["rk4"](), denoiser, x, stops)[-1]


def test_adams_is_exact_on_a_quadratic_in_log_snr():
    """From the third step on, when it has its three values, the exact flow leads from state to state."""
    denoiser = Remembered(lambda rho: 1 - math.log(rho) - 0.3 * math.log(rho) ** 2)
    states = walk(Adams(order=3), denoiser, torch.zeros(1, 1, dtype=F64), STOPS)
    for i in (2, 3):
        exact = exact_flow(denoiser, states[i], STOPS[i], STOPS[i + 1])
        # The reference is of fourth order in steps of log(2.5)/64.
        torch.testing.assert_close(states[i + 1], exact, rtol=0, atol=1e-7)


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_asinh_is_exact_on_what_is_linear_in_its_variable(scale):
    """From the start: the corrector repairs the first step, as soon as the second value is known. To zero noise too."""
    denoiser = Remembered(lambda rho: 1 - 0.7 * math.asinh(rho / scale))
    x = torch.zeros(1, 1, dtype=F64)
    solver = AsinhAdams(scale=scale)
    end = walk(solver, denoiser, x, STOPS)[-1]
    torch.testing.assert_close(end, exact_flow(denoiser, x, STOPS[0], STOPS[-1]), rtol=0, atol=1e-7)
    times = denoiser.process.schedule.time(-2 * torch.tensor(STOPS, dtype=F64).log())
    data = sample(denoiser, x, torch.cat([times, torch.zeros(1, dtype=F64)]), solver)
    # At t = 0 the flow ends at x_0 itself.
    torch.testing.assert_close(data, torch.ones_like(data), rtol=0, atol=1e-12)


def test_time_travel_starts_anew():
    grid = travel(TIMES, length=6, repeats=1)
    for name in SOLVERS:
        if name != "dopri5":
            assert torch.isfinite(run(SOLVERS[name](), times=grid)).all(), name


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("schedule", ["vp", "ve", "edm", "cosine", "rectified", "sub_vp", "sigmoid"])
def test_every_schedule_down_to_the_data_in_few_steps(name, schedule):
    """Finite at t = 0 on coarse grids, also in float32; the uniform one is a schedule's own."""
    process = Gaussian(SCHEDULES[schedule]())
    denoiser = oracle(process)
    x = process.prior(start().float())
    for times in (torch.linspace(1, 0, 4), torch.tensor([1.0, 0.0]), GRIDS["karras"](process.schedule, 3)):
        got = sample(denoiser, x, times, SOLVERS[name](), stream=Stream.of(0, range(6)))
        assert got.dtype == torch.float32
        assert torch.isfinite(got).all()


@pytest.mark.parametrize("name", sorted(set(SOLVERS) - {"ancestral"}))
def test_tokens_are_refused(name):
    class Tokens:
        process = object()

    with pytest.raises(
        UserError, match="under a Gaussian process, got object; the solver 'ancestral' serves every process"
    ):
        SOLVERS[name]()(Tokens(), start(), TIMES[0], TIMES[1], start()[None], None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adams(order=5), "order must be 1, 2, 3 or 4, got 5"),
        (lambda: DEIS(order=4), "order must be 1, 2 or 3, got 4"),
        (lambda: UniPC(steps=1), "2 or 3 steps, got 1"),
        (lambda: ERSDE(stages=4), "1, 2 or 3 stages, got 4"),
        (lambda: SASolver(predictor=5), "predictor of 1 to 4"),
        (lambda: SASolver(tau=-1.0), "rate of fresh noise"),
        (lambda: SDE2(eta=math.nan), "rate of fresh noise"),
        (lambda: AsinhAdams(scale=0.0), "scale positive"),
    ],
)
def test_mistakes_are_told(make, message):
    with pytest.raises(UserError, match=message):
        make()
