r"""Rotary positions: what attention sees of two places is how far they lie apart.

A query at place m and a key at place n, each cut into pairs of channels, are turned by angles proportional to their
places, R(m w_j) q_j and R(n w_j) k_j, with R a rotation of the plane. Their product is then

    <R(m w) q, R(n w) k> = <q, R((n - m) w) k>,                                                                    (1)

a function of n - m alone. On a grid each axis turns a share of the pairs.

Source: Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding", equations 12 to 16.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pellucid.foundations.errors import UserError

_LONGEST = 10_000.0  # the slowest pair turns once in about this many places times 2 pi


def rotations(grid: tuple[int, ...], channels: int) -> Tensor:
    """Cosines and sines of every place's angles, (2, N, channels // 2), N the number of places.

    Args:
        grid: places along each axis; the last one runs fastest.
        channels: of one attention head.

    Raises:
        UserError: an odd number of channels.
    """
    if channels % 2:
        raise UserError(f"an attention head of {channels} channels cannot be turned in pairs: choose an even width")
    axes, pairs = len(grid), channels // 2
    places = torch.stack(torch.meshgrid(*(torch.arange(size) for size in grid), indexing="ij"), dim=-1)
    share = [len(range(axis, pairs, axes)) for axis in range(axes)]
    angles = [
        places[..., axis, None] * torch.exp(-math.log(_LONGEST) * torch.arange(count) / max(1, count))
        for axis, count in enumerate(share)
    ]
    angle = torch.cat(angles, dim=-1).reshape(-1, pairs)
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Equation (1)'s R: (B, heads, N, channels) turned place by place; channel j pairs with channel j + channels/2."""
    cos, sin = rotation.to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
