"""What samples are asked for: each value reaches its sample, what is left out is none, what is not known is told."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pellucid.asked import Asked, conditions_for
from pellucid.cli.conditions import assigned
from pellucid.data.codecs import ImageCodec
from pellucid.data.columns import class_column, items_column, tags_column, text_column, vector_column
from pellucid.foundations.errors import UserError
from pellucid.generate import sample
from pellucid.made import make, read_settings
from pellucid.model import Card, Model, load, make_denoiser, save
from pellucid.nn import build
from pellucid.nn.spec import ConditionSpec
from pellucid.operators import Downsample
from pellucid.restoration.restore import restore

from .small import untrained

PARTS = (
    text_column("caption", ["red cat", "blue cat", "red dog"]).part,
    vector_column("age", np.array([1.0, 3.0, 5.0])).part,
    tags_column("tags", ["round; big", "round", "big"]).part,
    class_column("breed", ["tabby", "poodle", "tabby"]).part,
    items_column("edges", np.zeros((3, 1, 8, 8), np.uint8), ImageCodec(1, 8, 8)).part,
)


@pytest.fixture(scope="module")
def model() -> Model:
    """A network that knows a label and five further conditions, with random weights everywhere."""
    plain = untrained((3, 8, 8), classes=2, guidance=1.0)
    specs = tuple(ConditionSpec(p.name, p.kind, 1 if p.kind == "items" else p.size, p.shape) for p in PARTS)
    spec = replace(plain.card.network, conditions=specs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = build(spec)
        for weight in network.parameters():
            if not weight.abs().max():
                torch.nn.init.normal_(weight, std=0.3)
    card = replace(plain.card, network=spec, parts=PARTS, label_names=("cat", "dog"))
    return replace(plain, denoiser=make_denoiser(network, card.process).eval().requires_grad_(False), card=card)


def drawn(model: Model, num: int = 2, **asked: Any) -> Tensor:
    return sample(model, num, steps=2, **asked)


def test_values_go_round_in_turn(model: Model) -> None:
    asked = Asked("dog", ["red cat", "blue cat", "red dog"], {"age": [1, 5]})
    found = conditions_for(model, asked)
    cond = found.at(range(4, 10))
    assert cond["label"].tolist() == [1] * 6
    age = PARTS[1].encode([1, 5])[:, 0]
    assert torch.equal(cond["age"][:, 0], age[[0, 1, 0, 1, 0, 1]])
    assert torch.equal(cond["caption"][0].nan_to_num(), cond["caption"][3].nan_to_num())
    assert not torch.equal(cond["caption"][0].nan_to_num(), cond["caption"][1].nan_to_num())
    assert found.words_at(5) == {"label": "dog", "caption": "red dog", "age": 5}
    assert found.away["label"].tolist() == [2]


def test_texts_are_encoded_once_and_mean_the_same(model: Model) -> None:
    network = model.denoiser.network
    calls, inner = [], network.encoded
    ids = PARTS[0].encode(["red cat", "blue cat"])

    def counted(cond: Any) -> Any:
        calls.append({name: len(value) for name, value in cond.items()})
        return inner(cond)

    network.encoded = counted  # type: ignore[method-assign,assignment]
    try:
        made = drawn(model, 4, text=["red cat", "blue cat"], guidance=2.0, batch_size=2)
    finally:
        del network.encoded
    assert calls == [{"caption": 2}, {"caption": 1}]  # for all steps and batches: the texts, and none
    x, t = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor(0.5)
    direct = model.denoiser(x, t, caption=ids)
    before = model.denoiser(x, t, **inner({"caption": ids}))
    torch.testing.assert_close(before, direct, atol=1e-6, rtol=1e-5)  # the same sums, in another batch
    assert not torch.equal(made[0], made[1])


@pytest.mark.parametrize(
    "asked",
    [
        {"label": "dog"},
        {"text": "blue cat"},
        {"where": {"age": 3.5}},
        {"where": {"tags": "round; big"}},
        {"where": {"breed": "poodle"}},
        {"where": {"edges": np.full((1, 8, 8), 200, np.uint8)}},
    ],
)
def test_each_condition_changes_the_sample_and_none_does_not(model: Model, asked: dict[str, Any]) -> None:
    plain = drawn(model, label="none")
    assert (drawn(model, **asked) - plain).abs().amax() > 1e-3


@pytest.mark.parametrize("name", [part.name for part in PARTS])
def test_none_is_the_same_as_nothing(model: Model, name: str) -> None:
    torch.testing.assert_close(drawn(model, where={name: None}), drawn(model, label="none"), atol=1e-5, rtol=0)


def test_a_sample_depends_on_its_number_alone(model: Model) -> None:
    asked: dict[str, Any] = {"text": ["red cat", "blue cat"], "where": {"age": [1, 3, 5]}, "guidance": 2.0}
    whole = drawn(model, 6, **asked)
    part = drawn(model, 2, **asked, first=3, batch_size=1)
    torch.testing.assert_close(part, whole[3:5], atol=1e-5, rtol=1e-5)  # sums in another order


def test_a_negative_prompt_is_what_guidance_moves_away_from(model: Model) -> None:
    """u + w (c - u) at one step, with u and c asked of the denoiser itself."""
    made = sample(model, 1, text="red cat", negative={"text": "blue cat"}, guidance=3.0, steps=1, solver="ddim")
    u, c = (sample(model, 1, text=text, steps=1, solver="ddim") for text in ("blue cat", "red cat"))
    # One step of DDIM from the start to noise 0 ends at the estimate itself, up to the least noise of the grid.
    torch.testing.assert_close(made, u + 3 * (c - u), atol=1e-3, rtol=1e-3)
    only = sample(model, 1, label="cat", negative={"age": 3}, guidance=3.0, steps=1, solver="ddim")
    c = sample(model, 1, label="cat", steps=1, solver="ddim")
    u = sample(model, 1, where={"age": 3}, steps=1, solver="ddim")
    torch.testing.assert_close(only, u + 3 * (c - u), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"label": "caat"}, "unknown label 'caat'; did you mean 'cat'"),
        ({"label": 7}, "unknown label '7'"),
        (
            {"where": {"aeg": 3}},
            "unknown condition 'aeg'; did you mean 'age'.* Allowed: age, breed, caption, edges, label",
        ),
        ({"where": {"breed": "poodel"}}, "unknown breed 'poodel'; did you mean 'poodle'"),
        ({"text": "one two three four five six seven eight nine"}, r"caption has \d+ pieces, .* at most 8"),
        ({"text": ["red cat"], "where": {"caption": "blue cat"}}, "caption is given twice"),
        ({"text": []}, "text is an empty list|caption is an empty list"),
        ({"text": "red cat", "negative": {"text": "blue"}}, "a negative value acts through guidance"),
        ({"text": "red cat", "negative": {"text": ["a", "b"]}, "guidance": 2.0}, "one value for all samples, got 2"),
        ({"where": {"age": "x"}}, "age is a finite number, got 'x'"),
    ],
)
def test_what_a_model_does_not_understand_is_told(model: Model, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        drawn(model, **asked)


def test_guidance_needs_something_to_act_on(model: Model) -> None:
    texts = replace(model, card=replace(model.card, label_names=()))
    with pytest.raises(UserError, match=r"nothing is: give one of caption, age, tags, breed, edges"):
        drawn(texts, guidance=2.0)
    bare = untrained((3, 8, 8), classes=0)
    for asked in ({"text": "a cat"}, {"where": {"age": 3}}, {"negative": {"text": "a"}, "guidance": 1.0}):
        with pytest.raises(UserError, match="trained without conditions: sample it without --"):
            drawn(bare, **asked)
    with pytest.raises(UserError, match="nothing to guide"):
        drawn(bare, guidance=2.0)


def test_two_texts_go_by_their_names(model: Model) -> None:
    other = replace(PARTS[0], name="title")
    two = replace(model, card=replace(model.card, parts=(*PARTS, other)))
    with pytest.raises(UserError, match="several texts: give each by its name, caption, title"):
        drawn(two, text="red cat")


def test_an_empty_text_is_none(model: Model) -> None:
    torch.testing.assert_close(drawn(model, text=""), drawn(model, label="none"), atol=1e-5, rtol=0)


def test_parts_travel_with_the_model_and_old_cards_have_none(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.card.parts == PARTS
    assert [part.name for part in again.card.schema] == ["label", "caption", "age", "tags", "breed", "edges"]
    assert torch.equal(drawn(again, text="red cat"), drawn(model, text="red cat"))
    old = {key: value for key, value in untrained().card.to_json().items() if key != "parts"}
    assert Card.from_json(old).parts == ()


def test_files_carry_what_was_asked_and_the_command_makes_them_again(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path / "model")
    stored = load(tmp_path / "model")
    asked: dict[str, Any] = {
        "text": ["red cat", "blue cat"],
        "where": {"age": [1, 3.5], "tags": "round; big"},
        "negative": {"text": "red dog"},
    }
    made = make(stored, 3, out=tmp_path / "one", steps=2, guidance=2.0, **asked)
    told = read_settings(made.files[1])
    assert told.conditions == {"caption": "blue cat", "age": 3.5, "tags": "round; big"}
    assert told.label is None

    def again(command: str, out: str) -> np.ndarray:
        words = shlex.split(command)[3:]
        flags = [(words[i], words[i + 1]) for i in range(0, len(words), 2)]
        several = {flag: [value for name, value in flags if name == flag] for flag, _ in flags}
        one = {flag: values[0] for flag, values in several.items()}
        files = make(
            stored,
            int(one["-n"]),
            out=tmp_path / out,
            first=int(one["--first"]),
            steps=int(one["--steps"]),
            guidance=float(one["--guidance"]),
            text=several.get("--text"),
            where=assigned("--where", several.get("--where")),
            negative=assigned("--negative", several.get("--negative")),
            batch_size=int(one.get("--batch-size", 1)),
        ).files
        found = {file.name: file for file in files}[made.files[1].name]
        with Image.open(found) as picture:
            return np.asarray(picture).astype(int)

    with Image.open(made.files[1]) as picture:
        pixels = np.asarray(picture).astype(int)
    assert np.array_equal(again(told.command(), "two"), pixels)
    assert np.abs(again(told.command_alone(), "three") - pixels).max() <= 1  # to round-off


def test_restorations_take_the_same_conditions(model: Model) -> None:
    seen = torch.zeros(2, 3, 4, 4)

    def restored(**asked: Any) -> Tensor:
        return restore(model, Downsample(2), seen, method="ddnm", steps=2, **asked).samples

    plain, told = restored(), restored(text=["red cat", "blue cat"], guidance=2.0)
    assert (told - plain).abs().amax() > 1e-3
    # in turn, over the items: the second one's text alone gives the second one
    torch.testing.assert_close(restored(text="blue cat", guidance=2.0)[1], told[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(restored(text=""), plain, atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="a bare denoiser"):
        restore(model.denoiser, Downsample(2), seen, shape=(3, 8, 8), method="ddnm", steps=2, text="red cat")


def test_flags_are_names_and_values() -> None:
    assert assigned("--where", ["age=3.5", "text=a=b", "age=4"]) == {"age": ["3.5", "4"], "text": ["a=b"]}
    with pytest.raises(UserError, match="--where takes NAME=VALUE, got 'age'"):
        assigned("--where", ["age"])
