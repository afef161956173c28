"""What the tests of restoration share: exact laws, operators and one way to run a method."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.foundations.rng import Stream
from pellucid.operators import Matrix
from pellucid.oracles import MixtureOracle, gaussian_oracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import VP
from pellucid.processes.times import GRIDS
from pellucid.restorers import Observation
from pellucid.solvers import SOLVERS

F64 = torch.float64
PROCESS = Gaussian(VP())


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def times(steps: int) -> Tensor:
    return GRIDS["asinh"](PROCESS.schedule, steps)


def spd(size: int, *, seed: int = 5) -> Tensor:
    """A covariance with eigenvalues between about 0.1 and 1."""
    basis = torch.linalg.qr(normal(size, size, seed=seed))[0]
    return basis @ torch.diag(torch.linspace(0.1, 1, size, dtype=F64)) @ basis.T


def gaussian(size: int = 6) -> MixtureOracle:
    return gaussian_oracle(PROCESS, normal(size, seed=4), spd(size))


def mixture(*shape: int, dtype: torch.dtype = F64) -> MixtureOracle:
    return MixtureOracle(
        PROCESS,
        normal(5, *shape, seed=2, dtype=dtype),
        torch.full((5,), 0.05, dtype=dtype),
        labels=torch.tensor([0, 0, 1, 1, 1]),
    )


@dataclass(frozen=True, eq=False)
class Opaque(Matrix):
    """A matrix that does not tell its singular system."""

    def singular(self) -> None:
        return None


def run(method, denoiser, observation: Observation, *, steps: int = 12, solver="ancestral", ids=None, **options):
    ids = range(len(observation.y)) if ids is None else ids
    return method.run(
        denoiser,
        observation,
        stream=Stream.of(0, ids),
        times=options.pop("times", times(steps)),
        solver=SOLVERS[solver]() if isinstance(solver, str) else solver,
        **options,
    )


def draws(shape: tuple[int, ...], count: int, *, step: int, num: int = 1) -> Tensor:
    """The stream's noise of one step of `run`, (num, count, *shape), float64; step i of the loop has step i + 1."""
    return PROCESS.draw(Stream.of(0, range(count)), shape, step=step, num_draws=num)[0].double()
