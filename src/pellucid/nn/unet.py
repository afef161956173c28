"""The U-Net, for signals and images by one code.

Source: Ho et al. 2020, "Denoising Diffusion Probabilistic Models", appendix B, with the adaptive
normalisation of Dhariwal and Nichol 2021 and, before and after, a fold of patches into channels: at a small
compute budget the finest level's many positions of few channels cost most and learn least.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.foundations.errors import UserError

from .attend import GridCrossAttention, Seen
from .blocks import (
    AttentionBlock,
    ResidualBlock,
    convolution,
    crop,
    double,
    group_norm,
    halve,
    kept,
    normalised,
    pad_to_multiple,
    patchify,
    unpatchify,
    zeroed,
)
from .network import Network, channels_beside
from .spec import NetworkSpec


class Stage(nn.Module):
    """A residual block and, where asked, self-attention and attention to a context of so many channels:
    (B, channels, *n) -> (B, out, *n)."""

    def __init__(self, spec: NetworkSpec, channels: int, out: int, attend: bool, *, context: int = 0) -> None:
        super().__init__()
        self.block = ResidualBlock(len(spec.shape) - 1, channels, out, 4 * spec.width, spec.dropout)
        self.attention = AttentionBlock(out, spec.head_width) if attend else None
        self.cross = GridCrossAttention(out, spec.head_width, context) if context else None

    def forward(self, x: Tensor, embedding: Tensor, context: Seen | None = None, keep: Tensor | None = None) -> Tensor:
        """The stage's value at x under the condition; keep as of `ResidualBlock`."""
        x = self.block(x, embedding, keep)
        x = x if self.attention is None else self.attention(x, keep)
        return x if self.cross is None or context is None else kept(self.cross(x, context), keep)


class UNet(Network):
    """Down through the levels, up again, each up-stage fed the matching down-stage's result.

    Any side lengths: a side that is not a multiple of the patch is padded and the result cropped, an odd
    side n goes to ceil(n / 2) on the way down. The output is zero at initialisation.

    Raises:
        ValueError: for items that are neither signals (C, L) nor images (C, H, W).

    >>> network = UNet(NetworkSpec("unet", (1, 28, 28), width=16, patch=2, num_classes=10))
    >>> network(torch.randn(3, 1, 28, 28), torch.zeros(3), label=torch.tensor([0, 1, 10])).shape
    torch.Size([3, 1, 28, 28])
    """

    masks = True

    def __init__(self, spec: NetworkSpec) -> None:
        widths = [spec.width * m for m in spec.multipliers]
        super().__init__(spec, 4 * spec.width, max(widths))
        dims = len(spec.shape) - 1
        if dims not in (1, 2):
            raise UserError(f"a unet takes items of shape (C, L) or (C, H, W), not {spec.shape}; use an mlp")
        self.patch = spec.patch
        folded = spec.shape[0] * spec.patch**dims
        beside = channels_beside(self) * spec.patch**dims
        self.door = convolution(dims, folded + beside, widths[0])
        crossing = spec.attention or (len(widths) - 1,)

        self.down = nn.ModuleList()
        passed, channels = [], widths[0]
        for level, width in enumerate(widths):
            context = self.context_width if level in crossing else 0
            stages = nn.ModuleList()
            for _ in range(spec.blocks):
                stages.append(Stage(spec, channels, width, level in spec.attention, context=context))
                channels = width
                passed.append(width)
            self.down.append(stages)

        self.up = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            context = self.context_width if level in crossing else 0
            stages = nn.ModuleList()
            for _ in range(spec.blocks):
                stages.append(Stage(spec, channels + passed.pop(), width, level in spec.attention, context=context))
                channels = width
            self.up.append(stages)

        self.norm = group_norm(channels)
        self.out = zeroed(convolution(dims, channels, folded * spec.output_multiplier))

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
        keeps = self._keeps(steps)
        keep = keeps[0]
        h = patchify(pad_to_multiple(x, self.patch, mode="replicate" if steps is None else "constant"), self.patch)
        if h.ndim == 4:  # convolutions on CPUs, and under autocast on GPUs, are faster with channels last
            h = h.contiguous(memory_format=torch.channels_last)
        h = kept(self.door(h), keep)

        passed: list[Tensor] = []
        for level, stages in enumerate(self.down):
            h = halve(h, keep) if level else h
            keep = keeps[level]
            for stage in cast(nn.ModuleList, stages):
                h = stage(h, embedding, context, keep)
                passed.append(h)

        for level, stages in enumerate(self.up):
            h = double(h, passed[-1].shape[2:]) if level else h
            keep = keeps[-1 - level]
            for stage in cast(nn.ModuleList, stages):
                h = stage(torch.cat([h, passed.pop()], dim=1), embedding, context, keep)

        h = self.out(kept(F.silu(normalised(self.norm, h, keep)), keep))
        return crop(unpatchify(h, self.patch), side)

    def _keeps(self, steps: Tensor | None) -> list[Tensor | None]:
        """Of each level which of its cells hold a step that is there, (B, 1, n); None where all do."""
        if steps is None:
            return [None] * len(self.down)
        found = [F.max_pool1d(pad_to_multiple(steps, self.patch, mode="constant"), self.patch)]
        while len(found) < len(self.down):
            found.append(F.max_pool1d(found[-1], 2, ceil_mode=True))
        return list(found)
