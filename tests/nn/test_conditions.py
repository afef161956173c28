"""Contract of every network that takes conditions, over every kind of condition."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pellucid.foundations.errors import UserError
from pellucid.nn import ConditionSpec, NetworkSpec, build, choose, training_flops

F64 = torch.float64
NETWORKS = {
    "unet": NetworkSpec("unet", (2, 13, 10), width=16, blocks=1, patch=2, attention=(1,)),
    "unet-1d without attention": NetworkSpec("unet", (2, 21), width=16, multipliers=(1, 2, 2), blocks=1),
    "dit": NetworkSpec("dit", (2, 7, 10), width=24, blocks=2, patch=2, head_width=8),
    "mlp": NetworkSpec("mlp", (2,), width=24, blocks=2),
}
KINDS = ("class", "tags", "vector", "text", "states", "items", "other items", "points")
NUM = 5


def condition(kind: str, shape: tuple[int, ...]) -> ConditionSpec:
    """One of each kind; its name is one that modules have for themselves."""
    return {
        "class": ConditionSpec("type", "class", 3),
        "tags": ConditionSpec("keys", "tags", 4),
        "vector": ConditionSpec("parameters", "vector", 2),
        "text": ConditionSpec("text", "text", 11, (7,), width=16),
        "states": ConditionSpec("sentence", "states", 6, (7, 6)),
        "items": ConditionSpec("items", "items", 1, (3, *shape[1:])),
        "other items": ConditionSpec("forward", "items", 1, (1, 9, 11)),
        "points": ConditionSpec("points", "items", 1, (9,)),
    }[kind]


def value(spec: ConditionSpec, num: int = NUM) -> Tensor:
    """Values of which item 0 has none and item 1, where there is a sequence, has three positions."""
    generator = torch.Generator().manual_seed(3)
    if spec.kind == "class":
        return torch.tensor([spec.size, *(i % spec.size for i in range(num - 1))])
    if spec.kind == "text":
        found = torch.randint(1, spec.size, (num, *spec.shape), generator=generator)
        found[0], found[1, 3:] = 0, 0
        return found
    size = (spec.size,) if spec.kind in ("tags", "vector") else spec.shape
    found = torch.randn(num, *size, generator=generator, dtype=F64)
    if spec.kind == "tags":
        found = (found > 0).to(F64)
    if spec.kind == "states":
        found[1, 3:] = math.nan
    found[0] = math.nan
    return found


def made(name: str, *kinds: str) -> tuple[nn.Module, NetworkSpec, dict[str, Tensor], Tensor, Tensor]:
    """A network in float64 with no parameter at zero, its conditions' values, and its inputs."""
    spec = NETWORKS[name]
    spec = replace(spec, conditions=tuple(condition(kind, spec.shape) for kind in kinds))
    torch.manual_seed(0)
    network = build(spec).to(F64).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    x, c = torch.randn(NUM, *spec.shape, dtype=F64), torch.randn(NUM, dtype=F64) / 2
    return network, spec, {each.name: value(each) for each in spec.conditions}, x, c


def close(found: Tensor, expected: Tensor) -> None:
    """Equal in float64 but for the order of sums."""
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_none_is_the_same_as_left_out_and_a_value_is_not(name: str, kind: str) -> None:
    network, spec, cond, x, c = made(name, kind)
    given, without = network(x, c, **cond), network(x, c)
    close(given[0], without[0])
    assert (given - without)[1:].flatten(1).abs().amax(1).min() > 1e-4
    close(network(x, c, **dict.fromkeys(cond)), without)
    none = {each.name: value(each)[:1].repeat(NUM, *(1,) * (value(each).ndim - 1)) for each in spec.conditions}
    close(network(x, c, **none), without)


@pytest.mark.parametrize("name", NETWORKS)
def test_each_of_many_conditions_can_be_missing_and_items_do_not_see_one_another(name: str) -> None:
    network, _, cond, x, c = made(name, *KINDS)
    whole = network(x, c, **cond)
    for missing in cond:
        kept = {key: each for key, each in cond.items() if key != missing}
        assert not torch.allclose(network(x, c, **kept)[1:], whole[1:], rtol=1e-4, atol=1e-4), missing
    order = torch.tensor([3, 0, 4, 2, 1])
    close(network(x[order], c[order], **{key: each[order] for key, each in cond.items()}), whole[order])
    close(network(x[2:3], c[2:3], **{key: each[2:3] for key, each in cond.items()}), whole[2:3])


@pytest.mark.parametrize("name", NETWORKS)
def test_beside_a_label_and_a_vector(name: str) -> None:
    """What each adds to the embedding, written out."""
    _, spec, cond, _, c = made(name, "class", "tags")
    spec = replace(spec, num_classes=4, vector_dim=3)
    torch.manual_seed(1)
    network = build(spec).to(F64).eval()
    embed = network.embedding
    values = {spec.conditions[i].key: each for i, each in enumerate(cond.values())}
    label, vector = torch.tensor([0, 1, 2, 3, 4]), torch.randn(NUM, 3, dtype=F64)
    seen: list[Tensor] = []
    handle = embed.mix.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    embed(c, label, vector, values)
    handle.remove()
    tags = cond["keys"].nan_to_num() @ embed.parts["tags_keys"].linear.weight.T + embed.parts["tags_keys"].linear.bias
    tags[0] = 0
    angle = c[:, None] * embed.frequencies
    total = embed.noise(torch.cat([angle.cos(), angle.sin()], dim=1)) + embed.label.weight[label]
    total = total + embed.vector(vector) + embed.parts["class_type"].weight[cond["type"]] + tags
    torch.testing.assert_close(seen[0], total * total.sigmoid(), rtol=1e-6, atol=1e-6)  # angles are float32


@pytest.mark.parametrize("kind", ["text", "states"])
@pytest.mark.parametrize("name", NETWORKS)
def test_padding_behind_the_end_changes_nothing(name: str, kind: str) -> None:
    network, spec, cond, x, c = made(name, kind)
    (only,) = spec.conditions
    short = {only.name: cond[only.name][:2, :3]}  # item 0 has none, item 1 three positions
    close(network(x[:2], c[:2], **short), network(x, c, **cond)[:2])
    # nor does what a model put there: the end is told by the first padding of a text, by NaN of a state
    assert not torch.allclose(network(x, c, **{only.name: cond[only.name][:, :3]})[2], network(x, c, **cond)[2])


@pytest.mark.parametrize("name", NETWORKS)
def test_pieces_and_encoded_states_are_the_same(name: str) -> None:
    network, _, cond, x, c = made(name, "class", "text", "items")
    encoded = network.encoded({**cond, "label": torch.zeros(NUM, dtype=torch.int64)})
    assert set(encoded) == {*cond, "label"}
    assert encoded["text"].shape == (NUM, 7, 16)
    assert torch.equal(encoded["text"].isnan().all(2), cond["text"] == 0)
    assert torch.equal(encoded["text"].isnan().any(2), cond["text"] == 0)
    del encoded["label"]
    close(network(x, c, **encoded), network(x, c, **cond))
    again = network.encoded(encoded)
    assert all(torch.equal(again[key].nan_to_num(), encoded[key].nan_to_num()) for key in encoded)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_parameter_and_are_numbers(name: str) -> None:
    network, _, cond, x, c = made(name, *KINDS)
    network(x, c, **cond).square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("kind", ["text", "states", "other items"])
@pytest.mark.parametrize("name", ["unet", "unet-1d without attention", "dit"])
def test_what_is_attended_to_matters_beside_its_mean(name: str, kind: str) -> None:
    network, spec, cond, x, c = made(name, kind)
    (only,) = spec.conditions
    with torch.no_grad():
        for part in network.embedding.parts.values():
            part.linear.weight.zero_()  # what is left is the attention alone
    moved = cond[only.name].clone()
    moved[2] = cond[only.name][3]
    change = network(x, c, **{only.name: moved}) - network(x, c, **cond)
    assert change[2].abs().max() > 1e-5
    close(change[[0, 1, 3, 4]], torch.zeros_like(change[[0, 1, 3, 4]]))


def test_an_mlp_takes_a_text_by_its_mean() -> None:
    network, _, cond, x, c = made("mlp", "text")
    states = network.encoded(cond)["text"]
    mean = states[1, :3].mean(0)
    alike = torch.full_like(states, math.nan)
    alike[:, 0] = mean
    close(network(x, c, text=alike)[1], network(x, c, text=states)[1])


@pytest.mark.parametrize("name", ["unet", "dit"])
def test_an_item_of_the_same_sides_is_known_value_by_value(name: str) -> None:
    """An item with a hole says where: it is not the item whose hole is zero."""
    network, _, cond, x, c = made(name, "items")
    holed, filled = cond["items"].clone(), cond["items"].clone()
    holed[2, :, :3], filled[2, :, :3] = math.nan, 0.0
    found = network(x, c, items=holed)
    assert found.isfinite().all()
    assert not torch.allclose(found[2], network(x, c, items=filled)[2], atol=1e-4)
    assert not torch.allclose(found[2], network(x, c)[2], atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_start_at_zero_and_run_in_half_precision(name: str) -> None:
    spec = replace(NETWORKS[name], conditions=tuple(condition(kind, NETWORKS[name].shape) for kind in KINDS))
    torch.manual_seed(2)
    network = build(spec)
    cond = {c.name: v.float() if v.is_floating_point() else v for c in spec.conditions for v in [value(c)]}
    x, c = torch.randn(NUM, *spec.shape), torch.zeros(NUM)
    assert torch.equal(network(x, c, **cond), torch.zeros_like(x))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    whole = network(x, c, **cond)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(x, c, **cond)
    # 8 bits of mantissa through about ten layers; a mask or a NaN that went wrong would be off by all
    assert (half.float() - whole).norm() < 0.1 * whole.norm()


def test_what_a_network_does_not_know_is_named() -> None:
    network, _, cond, x, c = made("unet", "class", "text")
    with pytest.raises(UserError, match="unknown condition 'txet'; did you mean 'text'"):
        network(x, c, txet=cond["text"])
    with pytest.raises(UserError, match="unknown condition 'colour'"):
        network.encoded({"colour": cond["text"]})
    for wrong in (cond["text"].to(F64), torch.ones(NUM, 8, dtype=torch.int64), cond["text"][0]):
        with pytest.raises(UserError, match="the condition 'text' is"):
            network(x, c, text=wrong)
    with pytest.raises(UserError, match="the condition 'type' is"):
        network(x, c, type=torch.zeros(NUM, 1, dtype=torch.int64))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "txt"}, "did you mean 'text'"),
        ({"name": "two words"}, "plain word"),
        ({"name": "label"}, "taken"),
        ({"size": 0}, "at least 1"),
        ({"shape": ()}, "give \\(length,\\)"),
        ({"blocks": 0}, "at least 1"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(fields: dict[str, object], message: str) -> None:
    good = {"name": "caption", "kind": "text", "size": 9, "shape": (4,)}
    with pytest.raises(UserError, match=message):
        ConditionSpec(**{**good, **fields})  # type: ignore[arg-type]


def test_a_network_of_tokens_refuses_conditions_that_it_would_not_use() -> None:
    with pytest.raises(UserError, match="no other conditions; got caption"):
        build(NetworkSpec("sequence", (8,), symbols=5, conditions=(ConditionSpec("caption", "text", 9, (4,)),)))


def test_two_conditions_of_one_name_are_refused() -> None:
    twice = (ConditionSpec("a", "class", 2), ConditionSpec("a", "tags", 3))
    with pytest.raises(UserError, match="a name of its own"):
        NetworkSpec("mlp", (2,), conditions=twice)


def test_conditions_survive_json_and_old_cards_have_none() -> None:
    spec = replace(NETWORKS["unet"], conditions=tuple(condition(kind, (2, 13, 10)) for kind in KINDS))
    again = NetworkSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert hash(again) == hash(spec)
    old = {key: each for key, each in NETWORKS["unet"].to_json().items() if key != "conditions"}
    assert NetworkSpec.from_json(old) == NETWORKS["unet"]


def test_conditions_are_counted_and_a_caption_does_not_dominate() -> None:
    caption = ConditionSpec("caption", "text", 2000, (16,))
    plain = NetworkSpec("unet", (3, 32, 32), width=64, patch=2, attention=(1,))
    spec = replace(plain, conditions=(caption,))
    assert 2e6 < sum(parameter.numel() for parameter in build(plain).parameters()) < 4e6
    extra = training_flops(spec) / training_flops(plain) - 1
    encoder = build(spec).texts["text_caption"]
    matrices = sum(p.numel() for block in encoder.blocks for p in block.parameters() if p.ndim == 2)
    # by hand: 6 operations for each weight and piece, of which attention over 16 pieces adds little
    assert 6 * 16 * matrices < extra * training_flops(plain)
    assert extra < 0.2
    # in the same budget, no wider a network than without it
    chosen = choose((1, 12, 12), 1e11, conditions=(caption,))
    assert chosen.conditions == (caption,)
    assert chosen.width <= choose((1, 12, 12), 1e11).width
