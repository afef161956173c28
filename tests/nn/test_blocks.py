"""The parts, against the formulas written out and against their inverses."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.nn import blocks


@pytest.mark.parametrize("shape", [(2, 3, 12), (2, 3, 8, 12)])
@pytest.mark.parametrize("patch", [1, 2, 4])
def test_unpatchify_inverts_patchify(shape, patch):
    x = torch.randn(shape)
    folded = blocks.patchify(x, patch)
    assert folded.shape == (2, 3 * patch ** (len(shape) - 2), *(n // patch for n in shape[2:]))
    assert torch.equal(blocks.unpatchify(folded, patch), x)  # only moves entries: exact


def test_patchify_of_signals_keeps_channel_blocks():
    x = torch.arange(12.0).reshape(1, 2, 6)
    folded = blocks.patchify(x, 3)  # channel c, offset p of position i is x[c, 3 i + p]
    for c in range(2):
        for p in range(3):
            for i in range(2):
                assert folded[0, 3 * c + p, i] == x[0, c, 3 * i + p]


@pytest.mark.parametrize("side", [(7,), (6,), (7, 5), (28, 9)])
def test_pad_then_crop_is_identity_and_pads_with_the_edge(side):
    x = torch.randn(2, 3, *side)
    padded = blocks.pad_to_multiple(x, 4)
    assert all(n % 4 == 0 for n in padded.shape[2:])
    assert torch.equal(blocks.crop(padded, x.shape[2:]), x)
    last = padded[..., -1] if side[-1] % 4 else x[..., -1]
    assert torch.equal(blocks.crop(last[..., None], torch.Size((*side[:-1], 1)))[..., 0], x[..., -1])


@pytest.mark.parametrize("side", [(7,), (8,), (7, 10), (5, 3)])
def test_halve_keeps_constants_and_double_undoes_it_for_them(side):
    x = torch.randn(2, 3)[(...,) + (None,) * len(side)].expand(2, 3, *side)
    small = blocks.halve(x)
    assert small.shape[2:] == tuple(math.ceil(n / 2) for n in side)
    # means of equal float32 numbers: a few roundings
    torch.testing.assert_close(blocks.double(small, x.shape[2:]), x, rtol=1e-6, atol=1e-6)


def test_halve_is_the_mean_of_pairs_and_of_what_is_left():
    x = torch.randn(1, 1, 5, dtype=torch.float64)
    expected = torch.stack([x[..., 0:2].mean(-1), x[..., 2:4].mean(-1), x[..., 4]], dim=-1)
    torch.testing.assert_close(blocks.halve(x), expected)


def test_attention_is_the_softmax_written_out():
    torch.manual_seed(0)
    attention = blocks.Attention(12, head_width=4).double()
    tokens = torch.randn(2, 7, 12, dtype=torch.float64)
    query, key, value = attention.project(tokens).chunk(3, dim=-1)
    heads = []
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        weights = (query[..., part] @ key[..., part].mT / 2).softmax(dim=-1)  # sqrt(4) = 2
        heads.append(weights @ value[..., part])
    expected = attention.out(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(tokens), expected)  # float64: default tolerances are ample


def test_attention_block_on_a_grid_does_not_know_the_order_of_positions():
    torch.manual_seed(0)
    block = blocks.AttentionBlock(8, head_width=4).double()
    torch.nn.init.normal_(block.attend.out.weight)
    x = torch.randn(2, 8, 3, 5, dtype=torch.float64)
    order = torch.randperm(15)
    shuffled = x.flatten(2)[..., order].reshape(x.shape)
    expected = block(x).flatten(2)[..., order].reshape(x.shape)
    torch.testing.assert_close(block(shuffled), expected)


def test_residual_block_follows_equation_1():
    torch.manual_seed(0)
    block = blocks.ResidualBlock(1, 32, 32, embedding=6).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, e = torch.randn(2, 32, 9, dtype=torch.float64), torch.randn(2, 6, dtype=torch.float64)

    def norm(h):  # groups of 16 channels
        groups = h.reshape(2, 2, -1)
        centred = groups - groups.mean(-1, keepdim=True)
        return (centred / (groups.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()).reshape(h.shape)

    def silu(h):
        return h / (1 + (-h).exp())

    h = block.convolve_in(silu(block.gain * norm(x) + block.bias))
    scale, shift = block.modulate(e)[..., None].chunk(2, dim=1)
    expected = x + block.convolve(silu((1 + scale) * norm(h) + shift))
    torch.testing.assert_close(block(x, e), expected)


def test_embedding_treats_a_row_of_nan_as_no_vector():
    torch.manual_seed(0)
    embedding = blocks.Embedding(16, vector_dim=3)
    c = torch.tensor([0.3, 0.3, -0.2])
    vector = torch.randn(3, 3)
    vector[1] = math.nan
    with_rows, without = embedding(c, None, vector), embedding(c, None, None)
    assert torch.equal(with_rows[1], without[1])
    assert not torch.allclose(with_rows[0], without[0])
    with_rows.sum().backward()
    assert all(p.grad.isfinite().all() for p in embedding.parameters())


def test_embedding_refuses_conditions_it_was_not_built_for():
    embedding = blocks.Embedding(16)
    with pytest.raises(ValueError, match="num_classes=0"):
        embedding(torch.zeros(1), torch.zeros(1, dtype=torch.int64), None)
    with pytest.raises(ValueError, match="vector_dim=0"):
        embedding(torch.zeros(1), None, torch.zeros(1, 2))
