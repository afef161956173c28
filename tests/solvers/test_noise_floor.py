"""Every stochastic solver reaches the law itself: sliced Wasserstein distance at the floor of the sample size."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.foundations.rng import Stream
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.processes.times import GRIDS
from pellucid.solvers import SOLVERS, AsinhAdams, sample

F64 = torch.float64
COUNT = 1500
STOCHASTIC = [name for name in SOLVERS if SOLVERS[name]().draws]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def ring(process):
    """Eight narrow components on a circle: one that is missed or blurred shows."""
    angles = torch.arange(8, dtype=F64) * math.pi / 4
    means = 1.2 * torch.stack([angles.cos(), angles.sin()], 1)
    return MixtureOracle(process, means, torch.full((8,), 0.01, dtype=F64))


def exact(law, seed):
    pick = torch.rand(COUNT, dtype=F64, generator=generator(seed + 100))
    return law.sample(torch.randn(COUNT, 2, dtype=F64, generator=generator(seed)), pick)


def sliced_wasserstein(x, y):
    angles = torch.arange(64, dtype=F64) * math.pi / 64
    directions = torch.stack([angles.cos(), angles.sin()])
    return float(((x @ directions).sort(0).values - (y @ directions).sort(0).values).square().mean().sqrt())


def over_the_floor(solver, num_steps, seeds=4):
    """The distance of a solver's samples to exact ones, over that of exact ones to one another, averaged over seeds."""
    process = Gaussian(SCHEDULES["vp"]())
    law = ring(process)
    times = GRIDS["log-snr"](process.schedule, num_steps)
    draws = [exact(law, seed) for seed in range(4)]
    floor = [sliced_wasserstein(draws[i], draws[j]) for i in range(4) for j in range(i)]
    total = 0.0
    for seed in range(900, 900 + seeds):
        start = process.prior(torch.randn(COUNT, 2, dtype=F64, generator=generator(seed)))
        got = sample(law, start, times, solver, stream=Stream.of(seed, range(COUNT)))
        total += sum(sliced_wasserstein(got, draw) for draw in draws) / 4
    return total / seeds / (sum(floor) / len(floor))


# One seed has a ratio of mean 1 and standard deviation 0.2, for exact draws too, whatever the solver: so four have
# one of 0.1, and the bounds stand three of those above what is expected.


@pytest.mark.parametrize("name", STOCHASTIC)
def test_reaches_the_noise_floor(name):
    assert over_the_floor(SOLVERS[name](), 100) < 1.35


def test_ten_calls_are_nearly_enough():
    assert over_the_floor(AsinhAdams(steps=2, eta=0.5), 10) < 1.5
    assert over_the_floor(SOLVERS["ancestral"](), 5) > 2
