"""The token transformer: what it starts at, what it sees, and what it must not see."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pellucid.foundations.errors import UserError
from pellucid.nn import NetworkSpec, build, choose, training_flops

SPECS = {
    "tokens": NetworkSpec("sequence", (9,), width=24, blocks=2, head_width=12, symbols=6, num_classes=4, vector_dim=3),
    "grid": NetworkSpec("sequence", (3, 4), width=24, blocks=2, head_width=12, symbols=6, num_classes=4, vector_dim=3),
    "tied": NetworkSpec("sequence", (9,), width=16, blocks=1, symbols=6, tied=True, num_classes=4, vector_dim=3),
}
# float64 and another order of sums
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def random_network(spec: NetworkSpec) -> nn.Module:
    """In float64 and with no parameter at zero, so that nothing is hidden by the initialisation."""
    torch.manual_seed(0)
    network = build(spec).double().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network


def inputs(spec: NetworkSpec, batch: int):
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, spec.symbols, (batch, *spec.shape), generator=generator)
    c = torch.randn(batch, generator=generator, dtype=torch.float64)
    return x, c, torch.arange(batch) % 5, torch.randn(batch, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", SPECS)
def test_starts_with_all_symbols_equally_probable(name):
    x, c, label, vector = inputs(SPECS[name], 3)
    out = build(SPECS[name])(x, c.float(), label=label, vector=vector.float())
    assert out.shape == (*x.shape, 6)
    assert not out.any()


@pytest.mark.parametrize("name", SPECS)
def test_items_do_not_see_one_another_and_conditions_matter(name):
    network = random_network(SPECS[name])
    x, c, label, vector = inputs(SPECS[name], 5)
    together = network(x, c, label=label, vector=vector)
    for i in range(5):
        one = slice(i, i + 1)
        alone = network(x[one], c[one], label=label[one], vector=vector[one])
        torch.testing.assert_close(alone, together[one], **CLOSE)
    given = {"label": label, "vector": vector}
    for other in (
        network(x, c + 0.5, **given),
        network(x, c, label=(label + 1) % 5, vector=vector),
        network(x, c, label=label),
        network((x + 1) % 6, c, **given),
    ):
        assert (other - together).flatten(1).abs().amax(1).min() > 1e-6
    assert torch.equal(network(x), network(x, torch.zeros(5, dtype=torch.float64)))


@pytest.mark.parametrize("name", SPECS)
def test_gradient_reaches_every_parameter(name):
    network = random_network(SPECS[name])
    x, c, label, vector = inputs(SPECS[name], 8)
    network(x, c, label=label, vector=vector).square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


def test_nothing_looks_at_padding():
    """What stands at padding does not matter, and a padded sequence is the shorter one."""
    spec = SPECS["tokens"]
    network = random_network(spec)
    x, c, label, vector = inputs(spec, 4)
    given = {"label": label, "vector": vector}
    keep = torch.arange(9).expand(4, 9) < 5
    found = network(x, c, keep=keep, **given)[:, :5]
    other = torch.where(keep, x, (x + 2) % 6)
    torch.testing.assert_close(network(other, c, keep=keep, **given)[:, :5], found, **CLOSE)
    torch.testing.assert_close(network(x[:, :5], c, **given), found, **CLOSE)
    assert not torch.allclose(network(x, c, **given)[:, :5], found)


def test_without_learned_places_a_word_is_the_same_anywhere():
    """Attention sees distances alone: five tokens at the start, or further on behind padding, give the same."""
    spec = SPECS["tokens"]
    network = random_network(spec)
    x, c, label, vector = inputs(spec, 4)
    given = {"label": label, "vector": vector}
    keep = torch.arange(9).expand(4, 9) < 5
    moved, moved_keep = x.roll(3, 1), keep.roll(3, 1)

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        first = network(x, c, keep=keep, **given)[:, :5]
        return first, network(moved, c, keep=moved_keep, **given)[:, 3:8]

    assert not torch.allclose(*both())
    nn.init.zeros_(network.position)
    torch.testing.assert_close(*both(), rtol=1e-5, atol=1e-5)  # the table of angles is float32
    # The order of tokens matters all the same: a bag of symbols would give each its own output, moved with it.
    turned = network(x[:, :5].flip(1), c, **given).flip(1)
    assert not torch.allclose(turned, network(x[:, :5], c, **given))


def test_tied_logits_are_products_with_the_table():
    network = random_network(SPECS["tied"])
    x, c, label, vector = inputs(SPECS["tied"], 2)
    base = network(x, c, label=label, vector=vector)
    assert base.shape[-1] == 6
    rank = torch.linalg.matrix_rank(network.door.weight)
    assert torch.linalg.matrix_rank(base.flatten(0, 1)) <= rank
    fitted = torch.linalg.lstsq(network.door.weight, base.flatten(0, 1).T).solution
    torch.testing.assert_close((network.door.weight @ fitted).T.reshape(base.shape), base, rtol=1e-6, atol=1e-6)


def test_chosen_size_follows_the_law_of_tokens():
    """20 tokens a parameter at 6 operations each: F = L sqrt(6 C/20), as nearly as the steps of width allow."""
    widths = []
    for budget in (1e12, 1e14):
        spec = choose((16,), budget, symbols=30)
        assert (spec.kind, spec.symbols, spec.tied) == ("sequence", 30, False)
        limit = 16 * math.sqrt(6 * budget / 20)
        assert limit / 3 < training_flops(spec) <= limit
        widths.append(spec.width)
    assert widths[1] > widths[0]
    assert choose((7, 7), 1e12, symbols=500).tied


def test_refuses_numbers_and_boxes():
    with pytest.raises(UserError, match="at least 1 symbol"):
        build(NetworkSpec("sequence", (9,)))
    with pytest.raises(UserError, match=r"\(2, 3, 4\)"):
        build(NetworkSpec("sequence", (2, 3, 4), symbols=5))
