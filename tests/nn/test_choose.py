"""The spec's round trip, and the rule that sizes a network."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pellucid.nn import NetworkSpec, build, choose, training_flops
from pellucid.nn.choose import RATIO, WIDTHS


def test_spec_round_trip_through_json_text():
    spec = NetworkSpec(
        "unet", (3, 40, 30), width=24, multipliers=(1, 2, 3), attention=(1, 2), dropout=0.1, num_classes=7
    )
    again = NetworkSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert hash(again) == hash(spec)
    keys = build(spec).state_dict()
    assert {k: v.shape for k, v in build(again).state_dict().items()} == {k: v.shape for k, v in keys.items()}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"widht": 3}, "did you mean 'width'"),
        ({"width": 0}, "at least 1"),
        ({"shape": (1, 2, 3, 4)}, "give \\(D,\\)"),
        ({"attention": (2,)}, "levels from 0 to 1"),
        ({"dropout": 1.0}, "probability"),
        ({"num_classes": -1}, "negative"),
        ({"multipliers": ()}, "one positive integer"),
    ],
)
def test_spec_refuses(fields, message):
    with pytest.raises(ValueError, match=message):
        NetworkSpec.from_json({"kind": "unet", "shape": (1, 8, 8), **fields})


def test_unknown_kind_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'unet'"):
        build(NetworkSpec("unit", (1, 8, 8)))


SHAPES = [(2,), (20,), (1, 24), (6, 96), (1, 8, 8), (1, 28, 28), (3, 64, 48)]


@pytest.mark.parametrize("shape", SHAPES)
def test_choice_grows_with_the_budget_and_keeps_to_it(shape):
    costs = []
    for budget in (1e11, 3e13, 3e15):
        spec = choose(shape, budget, num_classes=3)
        assert spec.shape == shape
        assert spec.num_classes == 3
        costs.append(training_flops(spec))
        if spec.width > WIDTHS[0]:
            assert costs[-1] <= RATIO * math.sqrt(budget * math.prod(shape))
    assert costs == sorted(costs)
    assert costs[-1] > costs[0]


def test_a_finer_patch_waits_until_it_is_affordable_at_a_fair_width():
    coarse, fine = choose((1, 28, 28), 2e13), choose((1, 28, 28), 2e15)
    assert (coarse.patch, fine.patch) == (2, 1)
    assert coarse.width >= 32
    assert fine.width >= 32


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_chosen_runs_on_its_shape(shape):
    network = build(choose(shape, 1e11))
    with torch.no_grad():
        assert network(torch.randn(2, *shape), torch.zeros(2)).shape == (2, *shape)


def test_counted_operations_are_those_of_a_real_pass():
    spec = NetworkSpec("mlp", (3,), width=8, blocks=1)
    with FlopCounterMode(display=False) as counter:
        build(spec)(torch.randn(4, 3), torch.randn(4)).sum().backward()
    assert counter.get_total_flops() == 4 * training_flops(spec)
    # by hand: two operations for each weight of a matrix forward, four backward (two where the input needs none)
    sizes = {"noise": 8 * 8, "mix": 64, "door": 24, "modulate": 8 * 16, "widen": 8 * 16, "narrow": 16 * 8, "out": 24}
    assert training_flops(spec) == sum(6 * n for n in sizes.values()) - 2 * (sizes["noise"] + sizes["door"])


def test_budget_must_be_positive():
    for budget in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="positive"):
            choose((2,), budget)
