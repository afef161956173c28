"""The transformer block against its formula written out."""

from __future__ import annotations

import torch

from pellucid.nn.blocks import sine_positions
from pellucid.nn.dit import TransformerBlock


def test_block_is_attention_then_mlp_each_scaled_shifted_and_gated():
    torch.manual_seed(0)
    block = TransformerBlock(8, head_width=4, dropout=0.0).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, e = torch.randn(2, 5, 8, dtype=torch.float64), torch.randn(2, 8, dtype=torch.float64)
    a1, b1, g1, a2, b2, g2 = (e @ block.modulate.weight.T + block.modulate.bias)[:, None].split(8, dim=-1)

    def norm(h):
        centred = h - h.mean(-1, keepdim=True)
        return centred / (h.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()

    def gelu(h):  # the tanh form
        return 0.5 * h * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (h + 0.044715 * h**3)))

    y = x + g1 * block.attend((1 + a1) * norm(x) + b1)
    expected = y + g2 * block.narrow(gelu(block.widen((1 + a2) * norm(y) + b2)))
    torch.testing.assert_close(block(x, e), expected)


def test_positions_on_a_grid_are_those_of_its_axes_side_by_side():
    plane = sine_positions((3, 5), 12).reshape(3, 5, 12)
    rows, columns = sine_positions((3,), 6), sine_positions((5,), 6)
    for i in range(3):
        for j in range(5):
            assert torch.equal(plane[i, j], torch.cat([rows[i], columns[j]]))
