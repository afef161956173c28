"""Cross-attention and the text encoder against their formulas, and what they must not depend on."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pellucid.nn import ConditionSpec
from pellucid.nn.attend import Context, CrossAttention, Patches, Seen, with_mask
from pellucid.nn.blocks import attention
from pellucid.nn.text import TextEncoder

F64 = torch.float64


def filled(module: nn.Module) -> nn.Module:
    """In float64, with no parameter at zero."""
    torch.manual_seed(0)
    module = module.to(F64)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def norm(h: Tensor, layer: nn.LayerNorm) -> Tensor:
    centred = h - h.mean(-1, keepdim=True)
    return centred / (h.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt() * layer.weight + layer.bias


def test_cross_attention_is_the_softmax_over_what_may_be_seen_written_out() -> None:
    cross = filled(CrossAttention(12, head_width=4, context=6))
    tokens, context = torch.randn(2, 7, 12, dtype=F64), torch.randn(2, 5, 6, dtype=F64)
    keep = torch.tensor([[True, True, False, True, True], [True, False, False, False, False]])
    found = cross(tokens, Seen(context, keep))
    query = cross.query(norm(tokens, cross.norm))
    for item in range(2):
        seen = context[item][keep[item]]
        key, value = (seen @ cross.project.weight.T + cross.project.bias).chunk(2, dim=-1)
        heads = []
        for head in range(3):
            part = slice(4 * head, 4 * head + 4)
            heads.append((query[item][:, part] @ key[:, part].T / 2).softmax(-1) @ value[:, part])  # sqrt(4) = 2
        torch.testing.assert_close(found[item], tokens[item] + cross.out(torch.cat(heads, dim=-1)))


def test_attention_in_half_precision_is_the_one_in_single_and_differentiable() -> None:
    torch.manual_seed(1)
    single = [torch.randn(2, 3, 5, 8).bfloat16().float().requires_grad_() for _ in range(3)]
    half = [each.detach().bfloat16().requires_grad_() for each in single]
    keep = torch.rand(2, 5) > 0.3
    keep[:, 0] = True
    probe = torch.randn(2, 5, 24).bfloat16().float()
    (attention(*single, keep) * probe).sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(*half, keep)
    assert found.dtype == torch.bfloat16
    # computed in single precision and rounded once: half a unit in 8 bits
    torch.testing.assert_close(found.float(), attention(*single, keep), rtol=2**-8, atol=1e-6)
    (found.float() * probe).sum().backward()
    for one, other in zip(single, half, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(other.grad.float(), one.grad, rtol=2**-8, atol=1e-6)


def test_encoder_is_a_transformer_written_out() -> None:
    encoder = filled(TextEncoder(9, 4, 64, blocks=1))
    pieces = torch.tensor([[3, 8, 1, 0]])
    block = encoder.blocks[0]
    h = encoder.pieces.weight[pieces[0, :3]] + encoder.position[:3]
    query, key, value = (norm(h, block.norm) @ block.attend.project.weight.T + block.attend.project.bias).chunk(3, -1)
    heads = []
    for head in range(2):
        part = slice(32 * head, 32 * head + 32)
        heads.append((query[:, part] @ key[:, part].T / math.sqrt(32)).softmax(-1) @ value[:, part])
    h = h + block.attend.out(torch.cat(heads, dim=-1))
    wide = block.widen(norm(h, block.norm_wide))
    h = h + block.narrow(wide * 0.5 * (1 + torch.erf(wide / math.sqrt(2))))
    states = encoder(pieces)
    torch.testing.assert_close(states[0, :3], norm(h, encoder.norm))
    assert states[0, 3].isnan().all()


def test_encoder_tells_the_order_of_words_and_not_what_is_behind_the_end() -> None:
    encoder = filled(TextEncoder(20, 6, 32, blocks=2))
    one = encoder(torch.tensor([[4, 5, 6, 0, 0, 0], [0, 0, 0, 0, 0, 0], [6, 5, 4, 0, 0, 0]]))
    torch.testing.assert_close(encoder(torch.tensor([[4, 5, 6]])), one[:1, :3])
    assert one[1].isnan().all()
    assert not torch.allclose(one[0, :3].mean(0), one[2, :3].mean(0), atol=1e-3)


def test_context_begins_with_the_token_that_is_always_there() -> None:
    conditions = (ConditionSpec("a", "states", 5, (3, 5)), ConditionSpec("b", "items", 1, (1, 4, 4)))
    context = filled(Context(conditions, 8, {}))
    states, items = torch.randn(2, 3, 5, dtype=F64), torch.randn(2, 1, 4, 4, dtype=F64)
    states[0, 2:], items[1] = math.nan, math.nan
    tokens, keep = context({"b": items, "a": states}, 2)
    assert keep.tolist() == [[True] * 3 + [False] + [True] * 16, [True] * 4 + [False] * 16]
    assert torch.equal(tokens[:, 0], context.none.expand(2, 8))
    assert tokens.isfinite().all()
    alone, everywhere = context({}, 2)
    assert everywhere is None
    assert torch.equal(alone[:, 0], context.none.expand(2, 8))
    # the order is that of the conditions, not of the call
    torch.testing.assert_close(context({"a": states}, 2).tokens, tokens[:, :4])


def test_patches_see_an_item_patch_by_patch() -> None:
    patches = filled(Patches((2, 24, 10), 16))
    assert patches.patch == 2
    assert patches.position.shape == (60, 16)
    items = torch.randn(1, 2, 24, 10, dtype=F64)
    holed = items.clone()
    holed[0, :, 2:4, 4:6] = math.nan  # the patch of row 1, column 2
    holed[0, :, 0, 0] = math.nan  # a part of the first
    tokens, keep = patches(holed)
    whole = patches(items).tokens
    assert keep[0].nonzero().flatten().tolist() == [i for i in range(60) if i != 7]
    changed = (tokens - whole).abs().amax(-1)[0] > 1e-9
    assert changed.nonzero().flatten().tolist() == [0, 7]
    assert Patches((7,), 16).position.shape == (7, 16)


def test_the_mask_is_the_last_channel() -> None:
    items = torch.tensor([[[1.0, math.nan], [2.0, 3.0]]])
    assert with_mask(items).tolist() == [[[1.0, 0.0], [2.0, 3.0], [1.0, 0.0]]]
