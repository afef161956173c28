"""Bits of texts, and of pictures through their codes, against the parts they are made of."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.config import nested, resolve
from pellucid.data.builtin import BUILTIN
from pellucid.data.open import open_dataset
from pellucid.data.texts import Reading
from pellucid.foundations.errors import UserError
from pellucid.likelihood import token_nelbo
from pellucid.tokens.model import load_tokens
from pellucid.tokens.score import token_scores
from pellucid.tokens.yardsticks import Yardsticks
from pellucid.train.start import open_split

from ..small_texts import text_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_run(tmp_path_factory.mktemp("score")).run.path


def test_bits_of_texts_are_the_bound_over_their_characters(run: Path) -> None:
    model = load_tokens(run)
    data = open_dataset(run.parent / "words.txt")
    (score,) = token_scores(model, data, evaluations=16, batch_size=5)
    x = torch.from_numpy(data.items.astype(np.int64))
    bound = token_nelbo(model.denoiser, x, evaluations=16)
    characters = sum(map(len, data.codec.texts(data.items)))
    # The same times and noise in batches of 5: the order of sums differs, in float32.
    assert score.bits_per_dim == pytest.approx(bound.value.sum().item() / characters / math.log(2), rel=1e-5)
    assert score.nats == pytest.approx(bound.value.mean().item(), rel=1e-5)
    other = open_dataset(run.parent / "words.txt", reading=Reading("bytes", 30))
    assert token_scores(model, other, evaluations=16)[0].bits_per_dim == pytest.approx(score.bits_per_dim, rel=1e-5)


def test_a_model_that_learned_nothing_has_the_bits_of_equal_chances(tmp_path: Path) -> None:
    """Networks start with equal logits: every place costs the logarithm of the symbols that data have, whatever the
    noise: exactly, but for the Monte Carlo error of how many places are masked."""
    model = load_tokens(text_run(tmp_path, training__budget="32-items", training__lr=1e-12).run.path)
    data = open_dataset(tmp_path / "words.txt")
    (score,) = token_scores(model, data, evaluations=256)
    expected = model.shape[0] * math.log(model.codec.num_symbols)
    assert score.nats == pytest.approx(expected, rel=0.02)


def test_items_of_another_kind_are_refused(run: Path) -> None:
    with pytest.raises(UserError, match="knows texts"):
        token_scores(load_tokens(run), BUILTIN["moons"]())
    file = run.parent / "strange.txt"
    file.write_text("abq\nbob\n")
    with pytest.raises(UserError, match="'q', which is not in the alphabet"):
        token_scores(load_tokens(run), open_dataset(file))


def test_yardsticks_agree_on_characters_and_bytes(run: Path) -> None:
    """Of ASCII texts, an n-gram model over bytes and one over the 4 letters differ by smoothing towards 257 or 5
    symbols alone; of what has been seen often, they hardly do."""
    data = open_dataset(run.parent / "words.txt")
    texts = data.codec.texts(data.items) * 50
    same = open_dataset(run.parent / "words.txt", reading=Reading("bytes"))
    one, other = Yardsticks.of(texts, data.codec), Yardsticks.of(texts, same.codec)
    np.testing.assert_allclose(one.bits(texts[:36], 3), other.bits(texts[:36], 3), rtol=0.05)
    table = one.table(texts[:36], texts)
    assert table["trigram model"] < table["bigram model"]
    assert table["lzma that has seen the training texts"] < table["lzma"]


def test_codes_add_what_the_decoder_leaves_open(tmp_path: Path) -> None:
    from pellucid.train.start import begin

    from ..small import Watcher

    tiny = {
        "recipe": "tiny",
        "data.source": "digits8",
        "data.holdout": 0.2,
        "training.batch_size": 32,
        "training.pictures": 0,
    }
    vq = {"kind": "vq", "training.budget": "640-items", "network.width": 8, "autoencoder.codes": 8}
    first = begin(resolve([("vq", nested({**tiny, **vq}))]), tmp_path / "vq", observer=Watcher())
    prior = {
        "kind": "prior",
        "autoencoder.source": str(first.run.path),
        "process.kind": "absorbing",
        "process.schedule": "linear",
        "network.width": 16,
        "network.blocks": 1,
        "training.budget": "320-items",
        "sampling.solver": "ancestral",
        "sampling.steps": 4,
    }
    config = resolve([("prior", nested({**tiny, **prior}))])
    run = begin(config, tmp_path / "prior", observer=Watcher())
    assert run.run.lines("samples")[-1]["file"].endswith(".png")
    import shutil

    shutil.rmtree(first.run.path)  # the autoencoder travels with the model
    model = load_tokens(run.run.path)
    held = open_split(config.config)[1].subset(np.arange(40))
    (score,) = token_scores(model, held, evaluations=16)
    codec = model.card.codec
    codes, x = codec.encode(np.asarray(held.items[:])), codec.items.encode(np.asarray(held.items[:]))
    bound = token_nelbo(model.denoiser, codes, evaluations=16, label=torch.from_numpy(held.labels))
    expected = (bound.value - codec.given(codes).log_prob(x)).mean().item()
    assert score.nats == pytest.approx(expected, rel=1e-5)
    assert score.bits_per_dim == pytest.approx(expected / 64 / math.log(2), rel=1e-5)
    assert model.decode(codes).shape == (40, 1, 8, 8)
