"""Moves after each step of a solver: they keep what is right and put right what is not."""

from __future__ import annotations

import math

import pytest
import torch
from chain_laws import F64

from pellucid import SCHEDULES, SOLVERS, Gaussian, MixtureOracle, Stream, UserError
from pellucid.mcmc import MCMC, Corrected, Lengths, tuned_lengths
from pellucid.processes.times import GRIDS
from pellucid.solvers import sample

PROCESS = Gaussian(SCHEDULES["edm"]())
LAW = MixtureOracle(
    PROCESS, torch.tensor([[-1.0], [1.0]], dtype=F64), torch.tensor([0.1, 0.3], dtype=F64), torch.tensor([0.3, 0.7])
)
MEAN, SQUARE = 0.3 * -1 + 0.7 * 1, 0.3 * 1.1 + 0.7 * 1.3


def start(stream):
    return PROCESS.prior(stream.normal((1,), step=0)[0, 0].double())


@pytest.mark.parametrize("name", ["ula", "mala", "hmc"])
def test_it_puts_a_poor_solver_right(name):
    """Six steps of ddim miss the law's second moment; with moves it is within 4 standard errors, unadjusted ones being
    allowed 3 % of bias more."""
    times = GRIDS["karras"](PROCESS.schedule, 6)
    stream, pilot = Stream.of(0, range(1500)), Stream.of(1, range(64))
    kernel, ddim = MCMC[name](), SOLVERS["ddim"]()
    plain = sample(LAW, start(stream), times, ddim)
    found = tuned_lengths(LAW, start(pilot), times, ddim, kernel, stream=pilot)
    made = sample(LAW, start(stream), times, Corrected(ddim, kernel, 10, found.lengths), stream=stream)
    error = made.square().std().item() / 1500**0.5
    assert abs(plain.square().mean().item() - SQUARE) > 5 * error
    assert abs(made.square().mean().item() - SQUARE) < 4 * error + (0.03 if name == "ula" else 0)
    assert all(0.4 < a <= 1 for a in found.acceptance)
    assert len(found.acceptance) == 6


def test_a_sample_depends_on_its_id_alone():
    times = GRIDS["karras"](PROCESS.schedule, 4)
    lengths = Lengths((-5.0, 5.0), (-4.0, 4.0))
    solver = Corrected(SOLVERS["ancestral"](), MCMC["hmc"](), 2, lengths)
    many, one = Stream.of(3, range(5)), Stream.of(3, [3])
    together = sample(LAW, start(many), times, solver, stream=many)
    alone = sample(LAW, start(one), times, solver, stream=one)
    torch.testing.assert_close(together[3:4], alone)


def test_lengths_lie_between_their_knots():
    lengths = Lengths((-1.0, 0.0, 2.0), (0.0, 1.0, -1.0))
    assert [lengths.at(v) for v in (-3, -1, -0.5, 1, 2, 9)] == pytest.approx(
        [1, 1, math.exp(0.5), 1, math.exp(-1), math.exp(-1)]
    )


def test_numbers_out_of_range_are_told():
    with pytest.raises(UserError, match="at least 1 move"):
        Corrected(SOLVERS["ddim"](), MCMC["ula"](), 0, Lengths((0.0,), (0.0,)))
