"""The diffusion transformer, for signals and images by one code.

Source: Peebles and Xie 2023, "Scalable Diffusion Models with Transformers", section 3 (the adaLN-Zero block).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.foundations.errors import UserError

from .blocks import Attention, Embedding, crop, pad_to_multiple, patchify, unpatchify, zeroed
from .spec import NetworkSpec


def sine_positions(grid: tuple[int, ...], width: int) -> Tensor:
    """Sines and cosines of every position, (N, width): each axis has its share of the channels."""
    share = width // len(grid)
    parts = []
    for axis, size in enumerate(grid):
        half = (share + 1) // 2
        frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
        angle = torch.arange(size)[:, None] * frequencies
        waves = torch.cat([angle.sin(), angle.cos()], dim=1)[:, :share]
        view = [1] * len(grid)
        view[axis] = size
        parts.append(waves.reshape(*view, share).expand(*grid, share))
    positions = torch.cat(parts, dim=-1).reshape(-1, share * len(grid))
    return F.pad(positions, (0, width - positions.shape[1]))


class TransformerBlock(nn.Module):
    """Attention, then an MLP, each scaled, shifted and gated by the condition; the gates start at zero."""

    def __init__(self, width: int, head_width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.attend = Attention(width, head_width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulate = zeroed(nn.Linear(width, 6 * width))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tokens: Tensor, embedding: Tensor, *, rotation: Tensor | None = None, keep: Tensor | None = None
    ) -> Tensor:
        """(B, N, width), (B, width) -> (B, N, width); `rotation` and `keep` as of `Attention`."""
        scale1, shift1, gate1, scale2, shift2, gate2 = self.modulate(embedding)[:, None].chunk(6, dim=-1)
        h = torch.addcmul(shift1, 1 + scale1, self.norm(tokens))
        tokens = tokens + gate1 * self.dropout(self.attend(h, rotation=rotation, keep=keep))
        h = torch.addcmul(shift2, 1 + scale2, self.norm(tokens))
        return tokens + gate2 * self.dropout(self.narrow(F.gelu(self.widen(h), approximate="tanh")))


class DiT(nn.Module):
    """Patches as tokens through `blocks` transformer blocks.

    Sides that are not a multiple of the patch are padded and the result cropped. The sides are those of the
    spec: positions are learned (from sines). The output is zero at initialisation.

    Raises:
        ValueError: for items that are neither signals (C, L) nor images (C, H, W).

    >>> network = DiT(NetworkSpec("dit", (3, 50), width=32, patch=4))
    >>> network(torch.randn(2, 3, 50), torch.zeros(2)).shape
    torch.Size([2, 3, 50])
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        dims = len(spec.shape) - 1
        if dims not in (1, 2):
            raise UserError(f"a dit takes items of shape (C, L) or (C, H, W), not {spec.shape}; use an mlp")
        self.patch = spec.patch
        folded = spec.shape[0] * spec.patch**dims
        grid = tuple(math.ceil(size / spec.patch) for size in spec.shape[1:])
        self.embedding = Embedding(spec.width, spec.num_classes, spec.vector_dim)
        self.door = nn.Linear(folded, spec.width)
        self.position = nn.Parameter(sine_positions(grid, spec.width))
        self.blocks = nn.ModuleList(
            TransformerBlock(spec.width, spec.head_width, spec.dropout) for _ in range(spec.blocks)
        )
        self.norm = nn.LayerNorm(spec.width, elementwise_affine=False)
        self.modulate = zeroed(nn.Linear(spec.width, 2 * spec.width))
        self.out = zeroed(nn.Linear(spec.width, folded * spec.output_multiplier))

    def forward(
        self, x: Tensor, c_noise: Tensor, *, label: Tensor | None = None, vector: Tensor | None = None
    ) -> Tensor:
        """As `UNet.forward`: (B, C, *side), (B,) -> (B, C output_multiplier, *side)."""
        side = x.shape[2:]
        embedding = self.embedding(c_noise, label, vector)
        folded = patchify(pad_to_multiple(x, self.patch), self.patch)
        tokens = self.door(folded.flatten(2).transpose(1, 2)) + self.position
        for block in self.blocks:
            tokens = block(tokens, embedding)
        scale, shift = self.modulate(embedding)[:, None].chunk(2, dim=-1)
        out = self.out(torch.addcmul(shift, 1 + scale, self.norm(tokens)))
        grid = out.transpose(1, 2).reshape(len(x), -1, *folded.shape[2:])
        return crop(unpatchify(grid, self.patch), side)
