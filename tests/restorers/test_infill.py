"""Infilling keeps what is known, and the suite tests that the rest follows the exact conditional law."""

from __future__ import annotations

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.processes.categorical import absorbing, uniform
from pellucid.processes.survival import Linear, even_times
from pellucid.restorers.infill import Infill
from pellucid.solvers import TOKEN_SOLVERS, sample
from pellucid.tokens.oracles import table_oracle

F64 = torch.float64
TABLE = torch.tensor([[0.4, 0.1, 0.0], [0.0, 0.3, 0.0], [0.1, 0.0, 0.1]], dtype=F64)


@pytest.mark.parametrize("name", ["ancestral", "euler", "first-hitting", "cached", "remasking", "confidence"])
def test_known_symbols_stay_and_what_follows_from_them_is_found(name):
    law = table_oracle(absorbing(4), TABLE)
    # Each item knows another place, or none.
    known = torch.tensor([[1, 3], [3, 2], [3, 3], [2, 2]]).repeat(10, 1)
    stream = Stream.of(0, range(40))
    x = law.process.prior(law.process.draw(stream, (2,), step=0)[0, 0])
    x = sample(Infill(law, known), x, even_times(Linear(), 6), TOKEN_SOLVERS[name](), stream=stream)
    assert ((x == known) | (known == 3)).all()
    # After 1 comes 1 alone, before 2 stands 2 alone.
    assert (x[0::4] == torch.tensor([1, 1])).all()
    assert (x[1::4] == torch.tensor([2, 2])).all()


def test_refusals():
    with pytest.raises(UserError, match="masked models"):
        Infill(table_oracle(uniform(3), TABLE), torch.zeros(2, 2, dtype=torch.int64))
    law = table_oracle(absorbing(4), TABLE)
    with pytest.raises(UserError, match="from 0 to 3"):
        Infill(law, torch.full((2, 2), 4))
    with pytest.raises(UserError, match="the items"):
        Infill(law, torch.full((2, 2), 3))(torch.full((3, 2), 3), torch.tensor(0.5))
