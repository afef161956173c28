"""Samples of symbols: functions of (seed, number), conditions, and texts around what is known."""

from __future__ import annotations

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.solvers import TOKEN_SOLVERS
from pellucid.tokens.generate import sample_tokens, template, token_settings
from pellucid.tokens.model import TokenModel, load_tokens

from ..small_texts import text_run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TokenModel:
    return load_tokens(text_run(tmp_path_factory.mktemp("generate")).run.path)


def test_a_sample_depends_on_its_number_alone(model: TokenModel) -> None:
    six = sample_tokens(model, 6, seed=3)
    assert torch.equal(sample_tokens(model, 6, seed=3, batch_size=2), six)
    assert torch.equal(sample_tokens(model, 2, seed=3, first=4), six[4:])
    assert not torch.equal(sample_tokens(model, 6, seed=4), six)
    assert (six < model.codec.num_symbols).all()  # no mask is left
    assert all(set(text) <= set("abno") for text in model.texts(six))


@pytest.mark.parametrize("solver", TOKEN_SOLVERS)
def test_every_solver_of_symbols_keeps_what_is_known(model: TokenModel, solver: str) -> None:
    known = template(model, "ab__o")
    made = sample_tokens(model, 8, known=known, solver=solver, steps=6)
    given = known != model.denoiser.process.mask
    assert torch.equal(made[:, given], known[given].expand(8, -1))
    texts = model.texts(made)
    # The end is known to stand behind the fifth place, where what fills the holes is not an end itself.
    assert all(text == text[:5] and (len(text) < 5 or text[4] == "o") and text.startswith("ab") for text in texts)
    assert len({tuple(row.tolist()) for row in made}) > 1


def test_templates_say_what_is_known(model: TokenModel) -> None:
    mask = model.denoiser.process.mask
    length = model.shape[0]
    assert template(model, "a_b").tolist() == [1, mask, 2] + [0] * (length - 3)
    assert template(model, "ab...").tolist() == [1, 2] + [mask] * (length - 2)
    for text, message in (("ab", "no hole"), ("a_z", "'z'"), ("_" * (length + 1), f"at most {length}")):
        with pytest.raises(UserError, match=message):
            template(model, text)


def test_what_a_model_cannot_serve_is_refused(model: TokenModel) -> None:
    for options, message in (
        ({"solver": "cahced"}, "did you mean 'cached'"),
        ({"steps": 0}, "at least 1 step"),
        ({"guidance": 2.0}, "nothing to guide"),
    ):
        with pytest.raises(UserError, match=message):
            token_settings(model, **options)
    with pytest.raises(UserError, match="trained without labels"):
        sample_tokens(model, 1, label="x")
    with pytest.raises(UserError, match="at least 1 sample"):
        sample_tokens(model, 0)
