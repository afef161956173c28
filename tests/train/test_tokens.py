"""Training denoisers of symbols: a law learned to within its table, and the life of a run."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.data.arrays import Dataset
from pellucid.data.tokens import TokenCodec
from pellucid.foundations.errors import UserError
from pellucid.likelihood import token_nelbo
from pellucid.nn import NetworkSpec
from pellucid.tokens.model import TokenModel, load_tokens
from pellucid.train.engine import Engine
from pellucid.train.prepare import Parts
from pellucid.train.start import begin, resume
from pellucid.train.tokens import Tokens

from ..small import Watcher, hashes
from ..small_texts import text_settings, words


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return words(tmp_path_factory.mktemp("texts"))


@pytest.mark.parametrize("kind", ["absorbing", "uniform"])
def test_a_small_law_is_learned(kind: str) -> None:
    """Three places, three symbols: 27 probabilities known exactly, from which all training items come.

    The bound of a perfect model is the entropy of the law, so that what is above it is KL(law to model) and the
    slack of the bound, which is 0 for exact posteriors. 0.03 nats is a third of what a model without interactions
    (the product of the places' laws) is off by, below.
    """
    table = np.random.RandomState(4).dirichlet(np.full(27, 0.3))
    rows = np.array(list(product(range(3), repeat=3)), np.uint16)
    places = [np.bincount(rows[:, j], weights=table, minlength=3) for j in range(3)]
    independent = np.prod([places[j][rows[:, j]] for j in range(3)], axis=0)
    apart = float((table * np.log(table / independent)).sum())
    assert apart > 0.1
    counts = np.round(table * 4096).astype(int)
    codec = TokenCodec("characters", 3, ("a", "b"))
    data = Dataset(np.repeat(rows, counts, axis=0), None, (), codec, "table")
    config = text_settings(process__kind=kind, training__lr=1e-2, training__batch_size=256).config
    learner = Tokens()
    prepared = learner.of_symbols(config, Parts(data, data.subset([]), (), {}), codec.num_symbols)
    symbols = prepared.batches.process.num_symbols
    spec = NetworkSpec("sequence", (3,), width=32, blocks=1, symbols=symbols)
    trainee = learner.trainee(config, spec, Engine(torch.device("cpu")))
    for step in range(300):
        rate = 1e-2 * (1 - step / 300)
        trainee.step(prepared.batches, items=256 * step, step=step + 1, lr=rate)
    law = counts / counts.sum()
    bound = token_nelbo(trainee.average, torch.from_numpy(rows.astype(np.int64)), evaluations=512)
    entropy = -float((law[law > 0] * np.log(law[law > 0])).sum())
    excess = float((torch.from_numpy(law) * bound.value).sum()) - entropy
    error = float((torch.from_numpy(law) * bound.standard_error).square().sum().sqrt())
    assert -4 * error < excess < 0.03 + 4 * error


def test_a_run_trains_loads_goes_on_and_is_the_same_again(source: Path, tmp_path: Path) -> None:
    whole = begin(text_settings(data__source=str(source)), tmp_path / "whole", observer=Watcher())
    model = load_tokens(tmp_path / "whole")
    assert isinstance(model, TokenModel)
    assert model.codec.alphabet == ("a", "b", "n", "o")
    assert model.card.network.symbols == 6  # with the end and the mask
    assert whole.run.lines("texts")[-1]["texts"]
    lines = whole.run.lines("held_out")
    assert lines[-1]["loss"] < lines[0]["loss"]
    half = begin(
        text_settings(data__source=str(source), training__budget="128-items"), tmp_path / "half", observer=Watcher()
    )
    assert half.state.items == 128
    on = resume(tmp_path / "half", more="128-items", observer=Watcher())
    assert on.state.items == 256
    again = begin(text_settings(data__source=str(source)), tmp_path / "again", observer=Watcher())
    assert hashes(again.run.path) == hashes(whole.run.path)


def test_batches_are_functions_of_the_position(source: Path) -> None:
    prepared = Tokens().prepare(text_settings(data__source=str(source)).config)
    together, apart = prepared.batches.at(0, 8), [prepared.batches.at(i, 1) for i in range(8)]
    for name in ("x0", "t", "noise", "factor"):
        assert torch.equal(getattr(together, name), torch.cat([getattr(one, name) for one in apart]))
    assert ((together.t > 0) & (together.t <= 1)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"process__kind": "gaussian"}, "need a process on symbols"),
        ({"process__kind": "absorb"}, "did you mean 'absorbing'"),
        ({"process__schedule": "liner"}, "did you mean 'linear'"),
        ({"sampling__solver": "dpmpp-2m"}, "unknown solver of tokens"),
        ({"process__kind": "uniform", "sampling__solver": "cached"}, "has no mask: set sampling.solver=ancestral"),
        ({"network__kind": "unet"}, "sequence network"),
        ({"training__uncertainty": True}, "symbols have none"),
        ({"data__source": "moons"}, "learns texts"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(source: Path, changes: dict, message: str) -> None:
    config = text_settings(**{"data__source": str(source), **changes}).config
    with pytest.raises(UserError, match=message):
        Tokens().prepare(config)
