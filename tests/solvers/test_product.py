"""A step of a product is a step of each field; the suite tests the joint law of the samples."""

from __future__ import annotations

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream, subseed
from pellucid.oracles import MixtureOracle
from pellucid.processes.categorical import absorbing
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.product import Field, Product
from pellucid.processes.schedules import VP
from pellucid.solvers import SOLVERS, TOKEN_SOLVERS, ProductSolver, sample
from pellucid.tokens.oracles import table_oracle

F64 = torch.float64
TABLE = torch.tensor([[0.4, 0.1, 0.1], [0.0, 0.3, 0.1]], dtype=F64)
NUMBERS = MixtureOracle(Gaussian(VP()), torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=F64), torch.tensor([0.1, 0.2]))
WORDS = table_oracle(absorbing(4), torch.cat([TABLE, torch.zeros(1, 3, dtype=F64)]))
PROCESS = Product((Field("numbers", NUMBERS.process, 2), Field("words", WORDS.process, 2)))
TIMES = torch.linspace(1, 0, 9, dtype=F64)


class Apart:
    """A joint denoiser whose fields know nothing of one another."""

    process = PROCESS
    calls = 0

    def __call__(self, x, t, **cond):
        self.calls += 1
        numbers, words = PROCESS.unpack(x)
        return PROCESS.pack_answers([NUMBERS(numbers, t), WORDS(words, t)])


def alone(law, field, solver, ids):
    stream = Stream(subseed(6, f"field {field.name}"), torch.tensor(list(ids)))
    drawn = law.process.draw(stream, (2,), step=0)[0, 0]
    x = law.process.prior(drawn.double())
    return sample(law, x, TIMES, solver, stream=stream)


@pytest.mark.parametrize("numbers", ["ddim", "dpmpp-2m", "unipc-2", "ancestral", "dpmpp-2m-sde", "er-sde"])
@pytest.mark.parametrize("words", ["ancestral", "euler", "remasking", "confidence"])
def test_fields_that_are_independent_move_as_they_do_alone(numbers, words):
    """Bit for bit: each keeps its own memory and its own random numbers, of which one may need more than the other."""
    joint, ids = Apart(), range(12)
    solver = ProductSolver((SOLVERS[numbers](), TOKEN_SOLVERS[words]()))
    stream = Stream.of(6, ids)
    x = PROCESS.prior(PROCESS.draw(stream, (4,), step=0)[0, 0])
    x = sample(joint, x, TIMES, solver, stream=stream)
    assert joint.calls == 8
    found = PROCESS.unpack(x)
    torch.testing.assert_close(found[0], alone(NUMBERS, PROCESS.fields[0], SOLVERS[numbers](), ids), rtol=1e-12, atol=0)
    assert torch.equal(found[1], alone(WORDS, PROCESS.fields[1], TOKEN_SOLVERS[words](), ids))


def test_what_it_is():
    solver = ProductSolver((SOLVERS["dpmpp-2m"](), TOKEN_SOLVERS["confidence"]()))
    assert (solver.draws, solver.evaluations, solver.order) == (2, 1, 1)


@pytest.mark.parametrize("name", ["heun", "rk4", "dopri5"])
def test_solvers_that_ask_twice_are_refused(name):
    with pytest.raises(UserError, match="needs more"):
        ProductSolver((SOLVERS[name](), TOKEN_SOLVERS["ancestral"]()))


@pytest.mark.parametrize("name", ["first-hitting", "cached", "corrected"])
def test_solvers_that_ask_at_other_times_are_refused(name):
    with pytest.raises(UserError, match="needs more"):
        ProductSolver((SOLVERS["ddim"](), TOKEN_SOLVERS[name]()))


def test_another_process_is_refused():
    with pytest.raises(UserError, match="product of 2 fields"):
        sample(NUMBERS, torch.zeros(1, 2), TIMES, ProductSolver((SOLVERS["ddim"](), SOLVERS["ddim"]())))
