"""A small text encoder, trained with the network that reads it: pieces to states, one for each piece.

Before every branch of a block stands a normalisation, which learns steadily without a long warm-up (Xiong et al. 2020,
"On Layer Normalization in the Transformer Architecture", section 3).
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import Attention

_HEAD = 32


class TextBlock(nn.Module):
    """Attention over the pieces, then an MLP, each added to what it reads: (B, L, width) -> (B, L, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.norm_wide = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = Attention(width, _HEAD)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor, keep: Tensor) -> Tensor:
        """The block's value; `keep` (B, L) is true where a position may be looked at."""
        tokens = tokens + self.attend(self.norm(tokens), keep=keep)
        return tokens + self.narrow(F.gelu(self.widen(self.norm_wide(tokens))))


class TextEncoder(nn.Module):
    """Pieces (B, L) of a text, 0 behind its end and all 0 for no text, to states (B, L, width), NaN at every 0.

    So states say "none" as pieces do, and a text of a few pieces has the same states at any L.

    Args:
        size: pieces of the vocabulary, that of padding counted.
        length: the most pieces of a text.
        width: channels of a state.
        blocks: transformer blocks.

    >>> import torch
    >>> states = TextEncoder(100, 6, 32, 2)(torch.tensor([[5, 17, 0, 0], [0, 0, 0, 0]]))
    >>> states.isnan().all(2)
    tensor([[False, False,  True,  True],
            [ True,  True,  True,  True]])
    """

    def __init__(self, size: int, length: int, width: int, blocks: int) -> None:
        super().__init__()
        self.pieces = nn.Embedding(size, width)
        self.position = nn.Parameter(nn.init.normal_(self.pieces.weight.new_empty(length, width), std=0.1))
        self.blocks = nn.ModuleList(TextBlock(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, pieces: Tensor) -> Tensor:
        """The states of a batch of texts."""
        there = pieces != 0
        # A row without text may look anywhere: a softmax over nothing has no value, and what comes of it is dropped.
        keep = there | ~there.any(dim=1, keepdim=True)
        tokens = self.pieces(pieces) + self.position[: pieces.shape[1]]
        for block in self.blocks:
            tokens = block(tokens, keep)
        return self.norm(tokens).masked_fill(~there[..., None], math.nan)
