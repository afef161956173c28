"""A residual multilayer perceptron, for points and tables (and, flattened, for anything small)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attend import Seen
from .blocks import zeroed
from .network import Network
from .spec import NetworkSpec


class DenseBlock(nn.Module):
    """x + two layers of the normalised x, under the condition: (B, width), (B, E) -> (B, width)."""

    def __init__(self, width: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = zeroed(nn.Linear(embedding, 2 * width))
        self.widen, self.narrow = nn.Linear(width, 2 * width), zeroed(nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """The block's value at x under the condition."""
        scale, shift = self.modulate(embedding).chunk(2, dim=-1)
        h = torch.addcmul(shift, 1 + scale, self.norm(x))
        return x + self.narrow(self.dropout(F.silu(self.widen(h))))


class MLP(Network):
    """`blocks` residual blocks of `width` units; items of any shape are flattened.

    With `frequencies` = F, the input gains sin and cos of pi 2^k x / 4, k = 0..F-1, of every coordinate, so
    that fine structure in few dimensions is within easy reach (Tancik et al. 2020, "Fourier Features Let
    Networks Learn High Frequency Functions in Low Dimensional Domains", section 5). The output is zero at
    initialisation.

    >>> network = MLP(NetworkSpec("mlp", (2,), width=32, frequencies=4))
    >>> network(torch.randn(5, 2), torch.zeros(5)).shape
    torch.Size([5, 2])
    """

    scales: Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec, spec.width, spec.width, attends=False)
        size = math.prod(spec.shape)
        self.out_shape = (spec.shape[0] * spec.output_multiplier, *spec.shape[1:])
        scales = math.pi / 4 * 2.0 ** torch.arange(spec.frequencies)
        self.register_buffer("scales", scales, persistent=False)
        beside = sum((c.shape[0] + 1) * math.prod(c.shape[1:]) for c in self.beside)
        self.door = nn.Linear(size * (1 + 2 * spec.frequencies) + beside, spec.width)
        self.blocks = nn.ModuleList(DenseBlock(spec.width, spec.width, spec.dropout) for _ in range(spec.blocks))
        self.norm = nn.LayerNorm(spec.width)
        self.out = zeroed(nn.Linear(spec.width, size * spec.output_multiplier))

    def body(
        self,
        x: Tensor,
        embedding: Tensor,
        beside: list[Tensor],
        context: Seen | None,
        steps: Tensor | None = None,
    ) -> Tensor:
        """As `Network.body`: (B, *shape) -> (B, shape[0] output_multiplier, *shape[1:])."""
        flat = x.flatten(1)
        angle = (flat[:, :, None] * self.scales).flatten(1)
        h = self.door(torch.cat([flat, angle.sin(), angle.cos(), *(item.flatten(1) for item in beside)], dim=1))
        for block in self.blocks:
            h = block(h, embedding)
        return self.out(F.silu(self.norm(h))).reshape(len(x), *self.out_shape)
