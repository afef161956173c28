"""The diffusion transformer, for signals and images by one code.

Source: Peebles and Xie 2023, "Scalable Diffusion Models with Transformers", section 3 (the adaLN-Zero block).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.foundations.errors import UserError

from .attend import CrossAttention, Seen
from .blocks import Attention, crop, pad_to_multiple, patchify, sine_positions, unpatchify, zeroed
from .network import Network, channels_beside
from .spec import NetworkSpec


class TransformerBlock(nn.Module):
    """Attention, then an MLP, each scaled, shifted and gated by the condition; the gates start at zero.

    Between the two, with a `context` of so many channels, cross-attention to it.
    """

    def __init__(self, width: int, head_width: int, dropout: float, *, context: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.attend = Attention(width, head_width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulate = zeroed(nn.Linear(width, 6 * width))
        self.dropout = nn.Dropout(dropout)
        self.cross = CrossAttention(width, head_width, context) if context else None

    def forward(
        self,
        tokens: Tensor,
        embedding: Tensor,
        context: Seen | None = None,
        *,
        rotation: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """(B, N, width), (B, width) -> (B, N, width); `rotation` and `keep` as of `Attention`."""
        scale1, shift1, gate1, scale2, shift2, gate2 = self.modulate(embedding)[:, None].chunk(6, dim=-1)
        h = torch.addcmul(shift1, 1 + scale1, self.norm(tokens))
        tokens = tokens + gate1 * self.dropout(self.attend(h, rotation=rotation, keep=keep))
        if self.cross is not None and context is not None:
            tokens = self.cross(tokens, context)
        h = torch.addcmul(shift2, 1 + scale2, self.norm(tokens))
        return tokens + gate2 * self.dropout(self.narrow(F.gelu(self.widen(h), approximate="tanh")))


class DiT(Network):
    """Patches as tokens through `blocks` transformer blocks.

    Sides that are not a multiple of the patch are padded and the result cropped. The sides are those of the
    spec: positions are learned (from sines). The output is zero at initialisation.

    Raises:
        ValueError: for items that are neither signals (C, L) nor images (C, H, W).

    >>> network = DiT(NetworkSpec("dit", (3, 50), width=32, patch=4))
    >>> network(torch.randn(2, 3, 50), torch.zeros(2)).shape
    torch.Size([2, 3, 50])
    """

    masks = True

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec, spec.width, spec.width)
        dims = len(spec.shape) - 1
        if dims not in (1, 2):
            raise UserError(f"a dit takes items of shape (C, L) or (C, H, W), not {spec.shape}; use an mlp")
        self.patch = spec.patch
        folded = spec.shape[0] * spec.patch**dims
        beside = channels_beside(self) * spec.patch**dims
        grid = tuple(math.ceil(size / spec.patch) for size in spec.shape[1:])
        self.door = nn.Linear(folded + beside, spec.width)
        self.position = nn.Parameter(sine_positions(grid, spec.width))
        self.blocks = nn.ModuleList(
            TransformerBlock(spec.width, spec.head_width, spec.dropout, context=self.context_width)
            for _ in range(spec.blocks)
        )
        self.norm = nn.LayerNorm(spec.width, elementwise_affine=False)
        self.modulate = zeroed(nn.Linear(spec.width, 2 * spec.width))
        self.out = zeroed(nn.Linear(spec.width, folded * spec.output_multiplier))

    def body(
        self,
        x: Tensor,
        embedding: Tensor,
        beside: list[Tensor],
        context: Seen | None,
        steps: Tensor | None = None,
    ) -> Tensor:
        """As `Network.body`: (B, C, *side) -> (B, C output_multiplier, *side)."""
        side = x.shape[2:]
        x = torch.cat([x, *beside], dim=1) if beside else x
        folded = patchify(pad_to_multiple(x, self.patch, mode="replicate" if steps is None else "constant"), self.patch)
        tokens = self.door(folded.flatten(2).transpose(1, 2))
        keep = None
        if steps is None:
            tokens = tokens + self.position
        else:  # a series may be shorter than those of the spec, and has the first positions then
            tokens = tokens + self.position[: tokens.shape[1]]
            keep = F.max_pool1d(pad_to_multiple(steps, self.patch, mode="constant"), self.patch)[:, 0] > 0
        for block in self.blocks:
            tokens = block(tokens, embedding, context, keep=keep)
        scale, shift = self.modulate(embedding)[:, None].chunk(2, dim=-1)
        out = self.out(torch.addcmul(shift, 1 + scale, self.norm(tokens)))
        grid = out.transpose(1, 2).reshape(len(x), -1, *folded.shape[2:])
        return crop(unpatchify(grid, self.patch), side)
