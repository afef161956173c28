"""The token transformer: symbols in, the logits of clean symbols out.

A DiT (Peebles and Xie 2023, "Scalable Diffusion Models with Transformers", section 3) whose door is a table of symbols
and whose attention turns queries and keys by place (`rotary`). Places are learned too: where every symbol is masked,
relative places alone would make all positions alike, and the first letter of a word is not like the last.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from pellucid.foundations.errors import UserError

from .blocks import Embedding, sine_positions, zeroed
from .dit import TransformerBlock
from .rotary import rotations
from .spec import NetworkSpec


class Sequence(nn.Module):
    """Sequences (L,) or grids (H, W) of `symbols` symbols through `blocks` transformer blocks.

    The output is zero at initialisation: all symbols are equally probable. Where `tied`, the table of symbols that is
    the door gives the logits too, as inner products (Press and Wolf 2017, "Using the Output Embedding to Improve
    Language Models").

    Raises:
        UserError: for items of more than two axes, or of no symbols, or conditions beside label and vector.

    >>> network = Sequence(NetworkSpec("sequence", (16,), width=32, symbols=28))
    >>> network(torch.zeros(3, 16, dtype=torch.int64), torch.zeros(3)).shape
    torch.Size([3, 16, 28])
    """

    rotation: Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        if not spec.symbols or len(spec.shape) > 2:
            raise UserError(
                f"a sequence network takes tokens (L,) or grids (H, W) of at least 1 symbol, not {spec.symbols} "
                f"symbols in the shape {spec.shape}"
            )
        if spec.conditions:
            names = ", ".join(condition.name for condition in spec.conditions)
            raise UserError(f"a sequence network knows labels and a vector, and no other conditions; got {names}")
        self.grid = spec.shape
        self.embedding = Embedding(spec.width, spec.num_classes, spec.vector_dim)
        self.door = nn.Embedding(spec.symbols, spec.width)
        self.position = nn.Parameter(sine_positions(spec.shape, spec.width))
        self.blocks = nn.ModuleList(
            TransformerBlock(spec.width, spec.head_width, spec.dropout) for _ in range(spec.blocks)
        )
        heads = cast(TransformerBlock, self.blocks[0]).attend.heads
        self.register_buffer("rotation", rotations(spec.shape, spec.width // heads), persistent=False)
        self.norm = nn.LayerNorm(spec.width, elementwise_affine=False)
        self.modulate = zeroed(nn.Linear(spec.width, 2 * spec.width))
        self.tied = spec.tied
        self.out = zeroed(nn.Linear(spec.width, spec.width if spec.tied else spec.symbols))

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor | None = None,
        *,
        label: Tensor | None = None,
        vector: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Symbols to logits.

        Args:
            x: (B, *shape), integers in 0 .. symbols - 1; a sequence may be shorter than the shape.
            c_noise: (B,), how far on the way to noise; None where the symbols themselves tell (masks do).
            label, vector: as of `UNet.forward`.
            keep: of x's shape, false where there is padding, which nothing then looks at.

        Returns:
            (B, *shape, symbols). At padding they mean nothing.
        """
        tokens = x.flatten(1)
        length = tokens.shape[1]
        if c_noise is None:
            c_noise = self.position.new_zeros(len(x))
        embedding = self.embedding(c_noise, label, vector)
        h = self.door(tokens) + self.position[:length]
        rotation = self.rotation[:, :length]
        for block in self.blocks:
            h = block(h, embedding, rotation=rotation, keep=None if keep is None else keep.flatten(1))
        scale, shift = self.modulate(embedding)[:, None].chunk(2, dim=-1)
        out = self.out(torch.addcmul(shift, 1 + scale, self.norm(h)))
        if self.tied:
            out = out @ self.door.weight.T / math.sqrt(self.door.embedding_dim)
        return out.unflatten(1, x.shape[1:])
