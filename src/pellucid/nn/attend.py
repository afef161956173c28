r"""Cross-attention: positions of an item look at the states of its conditions.

All attended conditions of a call are laid side by side as one sequence of context, behind a learned token that is
always there: the softmax has something to weigh where there is no condition at all, and a position that needs none has
somewhere else to look.

    x + softmax(q(x) k(c)^T / sqrt(d)) v(c)                                                                        (1)

Source: Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models", section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from .blocks import attention, num_heads, pad_to_multiple, patchify, sine_positions, zeroed
from .parts import there_in
from .spec import ConditionSpec

_MOST_PATCHES = 64


class Seen(NamedTuple):
    """A context: tokens (B, S, width), and keep (B, S), true where one may be looked at; None: everywhere."""

    tokens: Tensor
    keep: Tensor | None


def with_mask(items: Tensor) -> Tensor:
    """Items (B, C, *n) with a channel more, 1 where all channels are known and 0 where one is NaN; NaN becomes 0."""
    known = ~items.isnan().any(dim=1, keepdim=True)
    return torch.cat([items.nan_to_num(), known.to(items.dtype)], dim=1)


class States(nn.Module):
    """States of another width to tokens: (B, L, size) -> (B, L, width), NaN staying where there is no state."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(size, width), nn.LayerNorm(width)

    def forward(self, states: Tensor) -> Seen:
        """The tokens."""
        return Seen(self.norm(self.linear(states.nan_to_num())), there_in(states))


class Patches(nn.Module):
    """Items that have not the sides of x, (B, *shape), to tokens, at most 64 patches; unknown patches are not seen."""

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        channels, *side = shape if len(shape) > 1 else (1, *shape)
        self.patch = 1
        while math.prod(math.ceil(n / self.patch) for n in side) > _MOST_PATCHES:
            self.patch *= 2
        self.linear = nn.Linear((channels + 1) * self.patch ** len(side), width)
        grid = tuple(math.ceil(n / self.patch) for n in side)
        self.position = nn.Parameter(sine_positions(grid, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, items: Tensor) -> Seen:
        """The tokens, one for each patch."""
        items = with_mask(items if items.ndim > 2 else items[:, None])
        folded = patchify(pad_to_multiple(items, self.patch), self.patch).flatten(2)
        cells = folded.shape[1] // items.shape[1]  # the mask is the last channel, so its cells are the last ones
        return Seen(self.norm(self.linear(folded.mT) + self.position), (folded[:, -cells:] > 0).any(dim=1))


class Context(nn.Module):
    """The attended conditions of a call as one context of `width` channels.

    Args:
        conditions: those that are attended.
        width: of the context's tokens.
        widths: of the texts' states, by the conditions' names.
    """

    def __init__(self, conditions: tuple[ConditionSpec, ...], width: int, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.names = {condition.name: condition.key for condition in conditions}
        self.none = nn.Parameter(torch.randn(width))
        self.doors = nn.ModuleDict()
        for condition in conditions:
            if condition.kind == "items":
                self.doors[condition.key] = Patches(condition.shape, width)
            else:
                size = widths[condition.name] if condition.kind == "text" else condition.size
                self.doors[condition.key] = States(size, width)

    def forward(self, cond: Mapping[str, Tensor], num: int) -> Seen:
        """The context of `num` items under conditions by name, texts as states; some may be left out."""
        first = self.none.expand(num, 1, -1)
        seen = [cast(Seen, self.doors[key](cond[name])) for name, key in self.names.items() if name in cond]
        if not seen:
            return Seen(first, None)
        tokens = torch.cat([first.to(seen[0].tokens.dtype), *(each.tokens for each in seen)], dim=1)
        always = torch.ones_like(tokens[:, :1, 0], dtype=torch.bool)
        return Seen(tokens, torch.cat([always, *(cast(Tensor, each.keep) for each in seen)], dim=1))


class CrossAttention(nn.Module):
    """x + attention of positions to a context, equation (1); nothing is added at initialisation.

    Args:
        channels: of the positions.
        head_width: channels of a head.
        context: channels of the context's tokens.
    """

    def __init__(self, channels: int, head_width: int, context: int) -> None:
        super().__init__()
        self.heads = num_heads(channels, head_width)
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, channels)
        self.project = nn.Linear(context, 2 * channels)
        self.out = zeroed(nn.Linear(channels, channels))

    def forward(self, tokens: Tensor, context: Seen) -> Tensor:
        """(B, N, channels) -> (B, N, channels)."""
        query = self.query(self.norm(tokens)).unflatten(2, (self.heads, -1)).transpose(1, 2)
        both = self.project(context.tokens).unflatten(2, (2, self.heads, -1))
        key, value = both.permute(2, 0, 3, 1, 4)
        return tokens + self.out(attention(query, key, value, context.keep))


class GridCrossAttention(nn.Module):
    """`CrossAttention` of the positions of a grid: (B, channels, *n) -> (B, channels, *n)."""

    def __init__(self, channels: int, head_width: int, context: int) -> None:
        super().__init__()
        self.attend = CrossAttention(channels, head_width, context)

    def forward(self, x: Tensor, context: Seen) -> Tensor:
        """The block's value at x."""
        return self.attend(x.flatten(2).transpose(1, 2), context).transpose(1, 2).reshape(x.shape)
