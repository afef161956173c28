"""Stochastic steps: identities between them, and their variances."""

from __future__ import annotations

import pytest
import torch

from pellucid.denoisers import wrap
from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES, linear_beta
from pellucid.solvers import DDIM, DDPM, Ancestral, Euler, sample

F64 = torch.float64
T, S = torch.tensor(0.6, dtype=F64), torch.tensor(0.5, dtype=F64)
ZERO = torch.zeros((), dtype=F64)


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def oracle(process):
    return MixtureOracle(process, torch.tensor([[-1.0, 0.5], [1.0, 0.0]]), torch.tensor([0.2, 0.3]))


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"betas"}))
@pytest.mark.parametrize("s", [S, ZERO])
def test_names_for_one_move_agree(name, s):
    denoiser, x, noise = oracle(Gaussian(SCHEDULES[name]())), randn(5, 2), randn(1, 5, 2, seed=1)

    def move(solver):
        return solver(denoiser, x, T, s, noise, None)[0]

    torch.testing.assert_close(move(DDIM(1.0)), move(Ancestral()), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(move(DDPM(0.0)), move(Ancestral()), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(move(DDIM(0.0)), move(Euler()), rtol=0, atol=0)


class Split(torch.nn.Module):
    """A network with a constant learned variance v: its second half is 2 v - 1."""

    def __init__(self, v):
        super().__init__()
        self.v = v

    def forward(self, x, c):
        return torch.cat([0.3 * x, torch.full_like(x, 2 * self.v - 1)], 1)


@pytest.mark.parametrize("v", [0.0, 0.3, 1.0])
def test_variance_lies_between_the_bounds_on_a_log_scale(v):
    process = Gaussian(linear_beta())
    t, s = (torch.tensor(i / 1000, dtype=F64) for i in (500, 499))
    x, one = randn(4, 2), torch.ones(1, 4, 2, dtype=F64)
    learned = wrap(Split(v), process, "eps", learned_variance=True)
    _, lower, upper = process.posterior(x, x, t, s)
    expected = upper**v * lower ** (1 - v)
    for solver in (DDPM(None), DDPM(v)):
        with_noise, without = (solver(learned, x, t, s, k * one, None)[0] for k in (1, 0))
        torch.testing.assert_close((with_noise - without).square(), expected.expand(4, 2), rtol=1e-9, atol=0)


@pytest.mark.parametrize("variance", [0.0, 0.5, 1.0, None])
def test_no_noise_on_the_step_to_the_data(variance):
    process = Gaussian(linear_beta())
    learned = wrap(Split(0.5), process, "eps", learned_variance=True)
    x, t = randn(4, 2), torch.tensor(1 / 1000, dtype=F64)
    end, _ = DDPM(variance)(learned, x, t, ZERO, randn(1, 4, 2, seed=1), None)
    torch.testing.assert_close(end, learned(x, t), rtol=1e-12, atol=1e-12)


def test_mistakes_are_told():
    with pytest.raises(UserError, match=r"eta lies between 0 \(deterministic\) and 1 \(ancestral\), got 1.5"):
        DDIM(1.5)
    with pytest.raises(UserError, match="variance lies between 0"):
        DDPM(-0.1)
    denoiser = oracle(Gaussian(linear_beta()))
    stream = Stream.of(0, range(2))
    for cond in ({}, {"label": torch.tensor([-1, -1])}):
        with pytest.raises(UserError, match="learned no variance"):
            sample(denoiser, randn(2, 2), torch.tensor([1.0, 0.0]), DDPM(None), stream=stream, **cond)
