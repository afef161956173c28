"""The one loop over time: what it hands to a solver, its randomness, time travel, and its refusals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import VP
from pellucid.processes.times import GRIDS, travel
from pellucid.solvers import DDIM, DDPM, SOLVERS, Ancestral, DPMpp2M, Euler, base, sample

F64 = torch.float64
PROCESS = Gaussian(VP())
ORACLE = MixtureOracle(
    PROCESS,
    torch.tensor([[-1.0, 0.5], [1.0, 0.0]]),
    torch.tensor([0.2, 0.3]),
    labels=torch.tensor([0, 1]),
)
GRID = GRIDS["log-snr"](PROCESS.schedule, 6)


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Recording:
    """A solver that writes down what it is given and returns its count of steps as the carry."""

    log: list
    draws: ClassVar[int] = 2
    evaluations: ClassVar[int] = 0
    order: ClassVar[int] = 1

    def __call__(self, denoiser, x, t, s, noise, carry):
        self.log.append((t.item(), s.item(), noise.clone(), carry))
        return x + 1, (carry or 0) + 1


def test_a_step_gets_its_times_its_noise_and_what_the_step_before_returned():
    log, seen = [], []
    stream = Stream.of(5, [3, 8])
    x = torch.zeros(2, 4, dtype=F64)
    times = torch.tensor([1.0, 0.6, 0.3, 0.0], dtype=F64)
    end = sample(ORACLE, x, times, Recording(log), stream=stream, callback=lambda *args: seen.append(args))
    assert [(t, s) for t, s, _, _ in log] == [(1.0, 0.6), (0.6, 0.3), (0.3, 0.0)]
    assert [carry for *_, carry in log] == [None, 1, 2]
    for i, (_, _, noise, _) in enumerate(log):
        # Step 0 of the stream is the prior's.
        assert torch.equal(noise, stream.normal((4,), step=i + 1, num_draws=2)[0].double())
    assert torch.equal(end, x + 3)
    assert [args[0] for args in seen] == [0, 1, 2]
    assert torch.equal(seen[1][3], x + 2)


def test_noise_does_not_depend_on_how_many_steps_are_drawn_at_once(monkeypatch):
    x = randn(3, 2)
    ends = []
    for block in (1, 13, 1 << 20):
        monkeypatch.setattr(base, "_NOISE_BLOCK", block)
        ends.append(sample(ORACLE, x, GRID, Ancestral(), stream=Stream.of(1, range(3))))
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])


def test_initial_noise_is_the_streams_step_zero_and_samples_do_not_depend_on_the_batch():
    """float32, as in use: the first three samples of eight are those of three, within round-off."""

    def draw(ids):
        stream = Stream.of(0, ids)
        x = PROCESS.prior(PROCESS.draw(stream, (2,), step=0)[0, 0])
        return x, sample(ORACLE, x, GRIDS["uniform"](PROCESS.schedule, 25), DDPM(), stream=stream)

    (many, ends), (few, some) = draw(range(8)), draw(range(3))
    assert torch.equal(many[:3], few)
    torch.testing.assert_close(ends[:3], some, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SOLVERS)
def test_conditions_are_passed_to_every_call(name):
    label = torch.tensor([0, 1, 1])
    x, times = randn(3, 2), GRIDS["log-snr"](PROCESS.schedule, 40)
    stream = Stream.of(2, range(3))
    got = sample(ORACLE, x, times, SOLVERS[name](), stream=stream, label=label)

    class Fixed:
        process = PROCESS

        def __call__(self, x, t):
            return ORACLE(x, t, label=label)

    assert torch.equal(got, sample(Fixed(), x, times, SOLVERS[name](), stream=stream))
    assert not torch.equal(got, sample(ORACLE, x, times, SOLVERS[name](), stream=stream))


def test_time_travel_renoises_and_forgets_the_carry():
    log = []
    times = torch.tensor([1.0, 0.5, 0.8, 0.2], dtype=F64)
    stream, x = Stream.of(4, [0]), randn(1, 2)
    end = sample(ORACLE, x, times, Recording(log), stream=stream)
    assert [carry for *_, carry in log] == [None, None]
    noise = stream.normal((2,), step=2, num_draws=2)[0, 0].double()
    expected = PROCESS.renoise(x + 1, times[1], times[2], noise) + 1
    assert torch.equal(end, expected)


@pytest.mark.parametrize("solver", [Ancestral(), DPMpp2M()])
def test_time_travel_keeps_the_law(solver):
    """Renoising an exact sample gives an exact sample, so a grid with detours ends at the same mean and variance."""
    count = 4000
    oracle = MixtureOracle(PROCESS, torch.tensor([[0.7]]), torch.tensor([0.3]))
    times = travel(GRIDS["log-snr"](PROCESS.schedule, 60), length=20, repeats=2)
    stream = Stream.of(6, range(count))
    x = PROCESS.prior(PROCESS.draw(stream, (1,), step=0)[0, 0])
    end = sample(oracle, x, times, solver, stream=stream).double()
    # Four standard errors, plus the first-order bias in the variance (measured: below 0.02 at 60 steps).
    assert abs(end.mean().item() - 0.7) < 4 * math.sqrt(0.3 / count) + 0.01
    assert abs(end.var().item() - 0.3) < 4 * 0.3 * math.sqrt(2 / count) + 0.03


def test_no_gradient_graph_is_kept():
    x = randn(2, 2).requires_grad_()
    assert not sample(ORACLE, x, GRID, Euler()).requires_grad


def test_deterministic_solvers_need_no_stream():
    assert torch.isfinite(sample(ORACLE, randn(2, 2), GRID, DDIM())).all()


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([1.0], "at least two times"),
        ([1.2, 0.0], r"times lie in \[0, 1\].*to 1.2"),
        ([0.5, -0.1], "times lie in"),
        ([math.nan, 0.0], "times lie in"),
        ([0.5, 0.5, 0.0], r"equal \(0.5\)"),
    ],
)
def test_bad_grids_are_refused(times, message):
    with pytest.raises(UserError, match=message):
        sample(ORACLE, torch.zeros(2, 2), torch.tensor(times, dtype=F64), Euler())


def test_missing_stream_is_told():
    for solver, times in ((Ancestral(), GRID), (Euler(), torch.tensor([1.0, 0.5, 0.7, 0.0]))):
        with pytest.raises(UserError, match=r"pass stream=Stream.of"):
            sample(ORACLE, torch.zeros(2, 2), times, solver)


def test_only_a_gaussian_process_is_moved_by_its_solvers():
    class Other:
        process = object()

        def __call__(self, x, t):
            return x

    for name in set(SOLVERS) - {"ancestral"}:
        solver = SOLVERS[name]()
        noise = torch.zeros(1, 2, 2)
        with pytest.raises(UserError, match="'ancestral' serves every process"):
            solver(Other(), torch.zeros(2, 2), torch.tensor(0.5), torch.tensor(0.4), noise, None)
